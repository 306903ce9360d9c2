package allocator_test

import (
	"testing"
	"time"
)

// N: a server dies between opening an epoch in the ledger and in the inventory, while the others go on at the older one.
func TestMendedEpochOnlyInLedger(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		a := w.serve()
		w.publish(a, "S1", session(50, "RSV"))
		shard := a.Shard("S1")
		w.book(a, 100, w.claim("S1", "RSV", 0))
		identity, _ := w.inventory.Identity(t.Context(), shard)
		epochs, _ := w.ledger.Epochs(t.Context())
		if _, won, err := w.ledger.OpenEpoch(t.Context(), shard, epochs[shard].Epoch, identity); !won || err != nil {
			t.Fatal(won, err)
		}
		for i := range 8 {
			time.Sleep(time.Minute)
			w.book(a, i, w.claim("S1", "RSV", 0))
		}
		site, _, _ := w.ledger.Site(t.Context(), "S1")
		if site.Generation > 2 {
			t.Errorf("after eight minutes every confirm still raises the generation, now %d, and rebuilds the site", site.Generation)
		}
	})
}
