package allocator

import "crypto/cipher"

// WebhookRow is a publisher's subscription to events as ledgers keep it: a document of package webhooks under its id. The
// version is 1 at first and raised by one with each change.
type WebhookRow struct {
	ID      string
	Version int64
	Details string // "" in SwapWebhook: the subscription ends
}

// DecideWebhook says whether a subscription may be replaced by next, and whether anything is to be written for it. stored is
// what is there; nil: nothing.
func DecideWebhook(stored *WebhookRow, next WebhookRow) (done, write bool) {
	switch {
	case stored == nil && next.Details == "":
		return true, false
	case stored == nil:
		return next.Version == 1, next.Version == 1
	case *stored == next: // a repeat
		return true, false
	}
	done = stored.Version == next.Version-1
	return done, done
}

// WebhookCipher encrypts the secrets that sign webhooks, by a key that follows from the installation's secret. Safe for
// concurrent use.
func (a *Allocator) WebhookCipher() cipher.AEAD { return a.secret.webhooks }

// LedgerError gives a ledger's failure the code with which it is answered; nil stays nil, and a refusal as it is.
func LedgerError(err error) error { return ledgerError(err) }
