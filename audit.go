package regcred

import (
	"context"
	"time"
)

// AuditStore keeps the audit log. Entries are added and, when they are old, removed;
// none is ever changed.
//
// All methods may return Unavailable where the store cannot be reached.
type AuditStore interface {
	// Audit adds entries in this order, all or none, and gives each a Sequence. Once it
	// returns they survive a kill. Errors: Invalid.
	Audit(ctx context.Context, entries ...AuditEntry) error
	// AuditLog returns the page of a query, and how many entries the query selects.
	// Entries that do not pass their integrity check are on the page with nothing but
	// their Sequence, and named by a Corrupt error beside it.
	AuditLog(ctx context.Context, q AuditQuery) ([]AuditEntry, int, error)
	// PruneAudit removes the entries before a time and returns how many.
	PruneAudit(ctx context.Context, before time.Time) (int, error)
}

// AuditEntry says who did what, from where, and whether they were allowed to. It has no
// secrets. A text that is longer than MaxAuditText is cut.
type AuditEntry struct {
	// Sequence grows with each entry; the store gives it.
	Sequence uint64
	At       time.Time
	// Caller and Role are who it was; From is the address that they called from.
	Caller string
	Role   Role
	From   string
	// Operation is what was to be done: one of AuditOperations.
	Operation string
	// Scope, Location and GUID say with what, as far as that is known.
	Scope    Scope
	Location string
	GUID     string
	// Repository is the one of the registry that it is about, "" for none or several.
	Repository string
	// Allowed says whether they may; Detail why not, or what else is to be known.
	Allowed bool
	Detail  string
	// Count is how many times it happened within the second that At begins, or within the
	// minute where nobody knows who it was; more than once only for what changes nothing.
	Count int
}

// Nobody is the Caller of entries about those who sent no login, or one that is not good.
const Nobody = "nobody"

// MaxAuditText bounds each text of an AuditEntry, in bytes.
const MaxAuditText = 1024

// AuditQuery selects entries. Fields are combined by "and", the values of one by "or".
type AuditQuery struct {
	Callers, Operations, GUIDs, Repositories []string
	// Allowed selects by it, unless it is nil.
	Allowed *bool
	// Since and Before bound At; zero is no bound. Before excludes itself.
	Since, Before time.Time
	// Newest puts the newest first.
	Newest bool
	// Offset and Limit cut out a page.
	Offset, Limit int
}

// AuditOperations are all operations of the audit log, sorted.
var AuditOperations = []string{
	"authenticate",
	"check credential",
	"check registry",
	"collect garbage",
	"confirm removals",
	"create credential",
	"create token",
	"declare credential",
	"delete blob",
	"delete credential",
	"delete manifest",
	"delete tag",
	"delete token",
	"find scope",
	"get credential",
	"issue registry token",
	"link blob",
	"list credentials",
	"list profiles",
	"list registry operations",
	"list repositories",
	"list tags",
	"list tokens",
	"look for garbage",
	"pull",
	"push blob",
	"push manifest",
	"read audit log",
	"read registry operation",
	"read registry statistics",
	"read tag history",
	"refresh credential",
	"release login",
	"release logins",
	"resolve",
	"roll back tag",
	"status",
	"update credential",
}
