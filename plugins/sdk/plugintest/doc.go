// Package plugintest tests an implementation of a plugin kind as roost will use
// it: over gRPC, and as a child process under roost's own host, which is killed in mid-call.
//
// The test of a storage plugin:
//
//	func TestMain(m *testing.M) { plugintest.Main(m, func() backend.Plugin { return New() }) }
//
//	func TestConformance(t T) {
//		plugintest.Storage(t, plugintest.StorageFixture{
//			New:     func() backend.Plugin { return New() },
//			Config:  backend.Config{Options: map[string]any{"path": "testdata/store"}},
//			User:    &backend.User{Name: "jane"},
//			Mailbox: "INBOX",
//		})
//	}
//
// A plugin that writes also gives StorageFixture.Writable, which makes an empty store for the cases of backend.Writer. They also
// run without a wire. Auth, Hibernation, Notify and State are the suites of the other kinds.
//
// Each suite has three parts. Life starts the plugin's process as docs/plugin-protocol.md says, without roost's host, and looks at its start and its
// end. Wire calls each method with what is no request, and misuses the connection. The rest runs on each of two connections: "memory", a gRPC connection
// inside the test ("grpc", to a process, if the plugin is a program), and "process", the test binary executed again as the plugin, under roost's
// host, which also uses lanes. What the plugin sends is checked as in core: an answer that breaks a rule of the
// protocol fails the case with the rule's text.
//
// "roost plugin test" runs the same suites on a program: a Program says what it is, and a Runner prints the results.
package plugintest
