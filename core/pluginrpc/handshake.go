package pluginrpc

// The handshake between core and the process of a plugin. docs/plugin-protocol.md
// describes it for authors; these are its names.
const (
	// ProtocolVersion is the second field of the handshake line. It
	// stands for the major version of all proto packages (v1).
	ProtocolVersion = 1

	// CookieKey and CookieValue are an environment variable that tells a
	// program that it was started as a plugin. It is no secret.
	CookieKey   = "ROOST_PLUGIN"
	CookieValue = "roost.plugin.v1"

	// EnvParentFD names the environment variable with the number of a
	// descriptor that reads as end of file as soon as core is gone. Nothing is ever written to it.
	EnvParentFD = "ROOST_PARENT_FD"

	// EnvFDChannel names the environment variable with the number of the
	// plugin's end of the descriptor channel, see FDSender.
	EnvFDChannel = "ROOST_FD_CHANNEL"

	// EnvLanes names the environment variable with the number of the
	// plugin's end of the lane socket, see package lane.
	EnvLanes = "ROOST_LANES"

	// EnvLogLevel names the environment variable with the lowest level that core
	// writes: "DEBUG", "INFO", "WARN" or "ERROR".
	EnvLogLevel = "ROOST_LOG_LEVEL"

	// PluginSet is the name under which go-plugin dispenses the connection; it is not on the wire.
	PluginSet = "roost"
)
