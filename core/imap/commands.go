package imap

import "github.com/roostmail/roost/core/session"

// command is an entry of the table.
type command struct {
	name   string
	done   string // text of its OK
	states uint8  // bits in…
	// quick answers on the loop, if it can (session.Protocol.Quick). done false: nothing was written or changed.
	quick func(r *request) (done bool, err error)
	// run executes the command on a worker. It sends no EXISTS, EXPUNGE or
	// unsolicited FETCH: sync says which of these follow.
	run  func(r *request) error
	sync syncMode
	// literal decides about a literal of the command before it is read; nil: accept. An error refuses it. It
	// is called on the loop (ctx nil) and, if it answers session.LiteralAsk there, on a worker.
	literal func(r *request) (session.LiteralAnswer, error)
	uid     bool // the UID form: numbers are UIDs (RFC 3501 §6.4.8)
	access  access
	with    func(srv *Server) bool // what the server needs for the command to be one; nil: nothing
}

// States in which a command is allowed (RFC 3501 §6).
const (
	inNotAuthenticated uint8 = 1 << stateNotAuthenticated
	inSelected         uint8 = 1 << stateSelected
	inAuthenticated    uint8 = 1<<stateAuthenticated | inSelected
	inAny              uint8 = inNotAuthenticated | inAuthenticated
)

// syncMode says which updates of the selected mailbox follow a command.
type syncMode uint8

const (
	syncNone      syncMode = iota
	syncNoExpunge          // RFC 3501 §7.4.1: FETCH, STORE and SEARCH must not be followed by EXPUNGE
	syncAll
)

// commands is the table of commands by name. init fills it, since the functions refer to it.
var commands map[string]*command

func init() {
	list := []command{
		{name: "CAPABILITY", states: inAny, quick: quickCapability},
		{name: "NOOP", states: inAny, quick: quickNoop, run: runNoop, sync: syncAll},
		{name: "LOGOUT", states: inAny, quick: quickLogout},
		{name: "ID", states: inAny, quick: quickID},

		{name: "LANGUAGE", states: inAny, quick: quickLanguage},
		{name: "STARTTLS", states: inNotAuthenticated, quick: quickStartTLS},
		{name: "AUTHENTICATE", states: inNotAuthenticated, quick: quickAuthenticate, run: runAuthenticate},
		{name: "LOGIN", states: inNotAuthenticated, quick: quickLogin, run: runLogin},

		{name: "UNAUTHENTICATE", states: inAuthenticated, quick: quickUnauthenticate},
		{name: "COMPRESS", states: inAuthenticated, quick: quickCompress},
		{name: "ENABLE", states: inAuthenticated, quick: quickEnable, run: runEnable},
		{name: "NAMESPACE", states: inAuthenticated, quick: quickNamespace},
		{name: "LIST", states: inAuthenticated, run: runList, sync: syncAll},
		{name: "LSUB", states: inAuthenticated, run: runLsub, sync: syncAll},
		{name: "STATUS", states: inAuthenticated, quick: quickStatus, run: runStatus, sync: syncAll},
		{name: "APPEND", states: inAuthenticated, run: runAppend, sync: syncAll, literal: literalAppend, access: writesStorage},
		{name: "NOTIFY", states: inAuthenticated, run: runNotify},
		{name: "SELECT", states: inAuthenticated, run: runSelect},
		{name: "EXAMINE", states: inAuthenticated, run: runSelect},
		{name: "IDLE", states: inAuthenticated, quick: quickIdle, run: runIdle},

		{name: "FETCH", states: inSelected, run: runFetch, sync: syncNoExpunge},
		{name: "UID FETCH", states: inSelected, run: runFetch, sync: syncAll, uid: true},
		{name: "SEARCH", states: inSelected, run: runSearch, sync: syncNoExpunge},
		{name: "UID SEARCH", states: inSelected, run: runSearch, sync: syncAll, uid: true},
		{name: "SORT", states: inSelected, run: runSort, sync: syncNoExpunge},
		{name: "UID SORT", states: inSelected, run: runSort, sync: syncAll, uid: true},
		{name: "ESEARCH", states: inAuthenticated, run: runESearch, sync: syncAll},
		{name: "CANCELUPDATE", states: inSelected, run: runCancelUpdate, sync: syncAll},
		{name: "UIDBATCHES", states: inSelected, run: runUIDBatches, sync: syncAll},
		{name: "THREAD", states: inSelected, run: runThread, sync: syncNoExpunge},
		{name: "UID THREAD", states: inSelected, run: runThread, sync: syncAll, uid: true},

		{name: "CHECK", states: inSelected, quick: quickNoop, run: runNoop, sync: syncAll},
		{name: "CLOSE", states: inSelected, quick: quickClose, run: runClose},
		{name: "UNSELECT", states: inSelected, quick: quickUnselect},

		{name: "GETMETADATA", states: inAuthenticated, run: runGetMetadata, sync: syncAll, with: withMetadata},
		{name: "SETMETADATA", states: inAuthenticated, run: runSetMetadata, sync: syncAll, access: writesStorage, with: withMetadata},

		{name: "GENURLAUTH", states: inAuthenticated, run: runGenURLAuth, sync: syncAll, access: writesStorage, with: withURLAuth},
		{name: "URLFETCH", states: inAuthenticated, run: runURLFetch, sync: syncAll, with: withURLAuth},
		{name: "RESETKEY", states: inAuthenticated, run: runResetKey, sync: syncAll, access: writesStorage, with: withURLAuth},

		{name: "GETQUOTA", states: inAuthenticated, run: runGetQuota, sync: syncAll, with: withQuota},
		{name: "GETQUOTAROOT", states: inAuthenticated, run: runGetQuotaRoot, sync: syncAll, with: withQuota},
		{name: "SETQUOTA", states: inAuthenticated, run: runSetQuota, sync: syncAll, with: withQuota},

		{name: "GETACL", states: inAuthenticated, run: runGetACL, sync: syncAll, with: withACL},
		{name: "SETACL", states: inAuthenticated, run: runSetACL, sync: syncAll, access: writesStorage, with: withACL},
		{name: "DELETEACL", states: inAuthenticated, run: runDeleteACL, sync: syncAll, access: writesStorage, with: withACL},
		{name: "LISTRIGHTS", states: inAuthenticated, run: runListRights, sync: syncAll, with: withACL},
		{name: "MYRIGHTS", states: inAuthenticated, run: runMyRights, sync: syncAll, with: withACL},

		{name: "CREATE", states: inAuthenticated, run: runCreate, sync: syncAll, access: writesStorage},
		{name: "DELETE", states: inAuthenticated, run: runDelete, sync: syncAll, access: writesStorage},
		{name: "RENAME", states: inAuthenticated, run: runRename, sync: syncAll, access: writesStorage},
		{name: "SUBSCRIBE", states: inAuthenticated, run: runSubscribe, sync: syncAll, access: writesStorage},
		{name: "UNSUBSCRIBE", states: inAuthenticated, run: runSubscribe, sync: syncAll, access: writesStorage},

		{name: "STORE", states: inSelected, run: runStore, sync: syncNoExpunge, access: writesSelected},
		{name: "UID STORE", states: inSelected, run: runStore, sync: syncAll, uid: true, access: writesSelected},
		{name: "COPY", states: inSelected, run: runCopy, sync: syncAll, access: writesStorage},
		{name: "UID COPY", states: inSelected, run: runCopy, sync: syncAll, uid: true, access: writesStorage},
		{name: "MOVE", states: inSelected, run: runMove, sync: syncAll, access: writesSelected},
		{name: "UID MOVE", states: inSelected, run: runMove, sync: syncAll, uid: true, access: writesSelected},
		{name: "REPLACE", states: inSelected, run: runReplace, sync: syncAll, literal: literalAppend, access: writesSelected},
		{name: "UID REPLACE", states: inSelected, run: runReplace, sync: syncAll, literal: literalAppend, uid: true, access: writesSelected},
		{name: "EXPUNGE", states: inSelected, run: runExpunge, sync: syncAll, access: writesSelected},
		{name: "UID EXPUNGE", states: inSelected, run: runExpunge, sync: syncAll, uid: true, access: writesSelected},
	}
	commands = make(map[string]*command, len(list))
	for i := range list {
		list[i].done = list[i].name + " completed."
		commands[list[i].name] = &list[i]
	}
}
