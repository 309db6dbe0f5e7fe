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
// run without a wire. Auth and Hibernation are the suites of the other kinds.
//
// Every case runs on each of two connections: "memory", a gRPC connection inside
// the test, and "process", the test binary executed again as the plugin. What
// the plugin sends is checked as in core: an answer that breaks a rule of the
// protocol fails the case with the rule's text.
package plugintest
