package crashpoints

import "slices"

// Moments of a step.
const (
	before = "before" // nothing of it has happened
	sent   = "sent"   // commits: the database has been told, and has not answered yet
	after  = "after"  // it has happened, and nobody has been told
)

// A step is something that others can see of a server. This table is all there is of them: decorators name their steps by
// their method, and tests compare it with the ports and with the routes.
type step struct {
	name   string
	port   string // inventory, ledger, reply or program
	method string // of the port
	writes bool   // ledger: it commits something
}

const (
	inventoryPort = "inventory"
	ledgerPort    = "ledger"
	replyPort     = "reply"
	programPort   = "program"
)

var steps = []step{
	{"identity", inventoryPort, "Identity", false},
	{"open", inventoryPort, "Open", false},
	{"hold", inventoryPort, "Hold", false},
	{"extend", inventoryPort, "Extend", false},
	{"release", inventoryPort, "Release", false},
	{"pin", inventoryPort, "Pin", false},
	{"reseat", inventoryPort, "Reseat", false},
	{"settle", inventoryPort, "Settle", false},
	{"free", inventoryPort, "Free", false},
	{"state", inventoryPort, "State", false},
	{"reap", inventoryPort, "Reap", false},
	{"stuck", inventoryPort, "StuckPins", false},
	{"apply", inventoryPort, "Apply", false},
	{"begin", inventoryPort, "Begin", false},
	{"load", inventoryPort, "Load", false},
	{"finish", inventoryPort, "Finish", false},
	{"read-site", inventoryPort, "ReadSite", false},
	{"read-places", inventoryPort, "ReadPlaces", false},
	{"repair", inventoryPort, "Repair", false},
	{"usage", inventoryPort, "Usage", false},
	{"changes", inventoryPort, "Changes", false},

	{"check", ledgerPort, "Check", false},
	{"agree", ledgerPort, "Agree", true},
	{"amend", ledgerPort, "Amend", true},
	{"epochs", ledgerPort, "Epochs", false},
	{"open-epoch", ledgerPort, "OpenEpoch", true},
	{"put-site", ledgerPort, "PutSite", true},
	{"put-own-site", ledgerPort, "PutOwnSite", true},
	{"suspend", ledgerPort, "Suspend", true},
	{"put-service", ledgerPort, "PutService", true},
	{"services", ledgerPort, "Services", false},
	{"sites", ledgerPort, "Sites", false},
	{"site", ledgerPort, "Site", false},
	{"days", ledgerPort, "Days", false},
	{"day", ledgerPort, "Day", false},
	{"site-plan", ledgerPort, "SitePlan", false},
	{"put-plan", ledgerPort, "PutPlan", true},
	{"due-plans", ledgerPort, "DuePlans", false},
	{"publish", ledgerPort, "Publish", true},
	{"record", ledgerPort, "Record", true},
	{"void", ledgerPort, "Void", true},
	{"transition", ledgerPort, "Transition", true},
	{"bookings", ledgerPort, "Bookings", false},
	{"booking", ledgerPort, "Booking", false},
	{"person-bookings", ledgerPort, "PersonBookings", false},
	{"payloads", ledgerPort, "Payloads", false},
	{"reseal", ledgerPort, "Reseal", true},
	{"slot", ledgerPort, "Slot", false},
	{"day-bookings", ledgerPort, "DayBookings", false},
	{"site-state", ledgerPort, "SiteState", false},
	{"live-places", ledgerPort, "LivePlaces", false},
	{"generations", ledgerPort, "Generations", false},
	{"changed", ledgerPort, "Changed", false},
	{"events", ledgerPort, "Events", true}, // reading numbers what was not numbered yet
	{"last-event", ledgerPort, "LastEvent", false},
	{"webhooks", ledgerPort, "Webhooks", false},
	{"webhook", ledgerPort, "Webhook", false},
	{"swap-webhook", ledgerPort, "SwapWebhook", true},
	{"append-trail", ledgerPort, "AppendTrail", true},
	{"trail", ledgerPort, "Trail", false},
	{"trail-end", ledgerPort, "TrailEnd", false},
	{"now", ledgerPort, "Now", false},
	{"close", ledgerPort, "Close", false},

	{"migrate", programPort, "", false},

	{"reply-hold", replyPort, "", false},
	{"reply-extend", replyPort, "", false},
	{"reply-release", replyPort, "", false},
	{"reply-confirm", replyPort, "", false},
	{"reply-cancel", replyPort, "", false},
	{"reply-status", replyPort, "", false},
	{"reply-walk-in", replyPort, "", false},
	{"reply-erase", replyPort, "", false},
	{"reply-day", replyPort, "", false},
	{"reply-upload", replyPort, "", false},
	{"reply-catalogue", replyPort, "", false},
	{"reply-webhook", replyPort, "", false},
	{"reply-read", replyPort, "", false},
}

// commitOf names the commit within a step of the ledger.
func commitOf(step string) string { return step + "-commit" }

// Points lists every point in order: STEP/before and STEP/after, and for each step of the ledger that writes
// STEP-commit/before, /sent and /after. SQLite knows only the first of these three.
func Points() []string {
	var all []string
	for _, s := range steps {
		all = append(all, s.name+"/"+before, s.name+"/"+after)
		if s.writes {
			c := commitOf(s.name)
			all = append(all, c+"/"+before, c+"/"+sent, c+"/"+after)
		}
	}
	return all
}

func known(point string) bool { return slices.Contains(Points(), point) }
