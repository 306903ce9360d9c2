package ledgersuite

import (
	"errors"
	"testing"

	"muster/allocator"
)

// QuarantineEnds checks that a replaced incarnation gets no epoch while its successor is young, and one afterwards. Pass
// lets allocator.Quarantine pass for the ledger.
func QuarantineEnds(t *testing.T, l allocator.Ledger, pass func()) {
	open := func(expected int64, identity string) (allocator.ShardEpoch, bool, error) {
		return l.OpenEpoch(t.Context(), 0, expected, identity)
	}
	for expected, identity := range []string{"a", "b"} {
		if _, opened, err := open(int64(expected), identity); !opened || err != nil {
			t.Fatalf("open by %s: %v, %v", identity, opened, err)
		}
	}
	if _, opened, err := open(2, "a"); opened || !errors.Is(err, allocator.ErrIdentitySuperseded) {
		t.Errorf("a came back at once: %v, %v", opened, err)
	}
	pass()
	want := allocator.ShardEpoch{Epoch: 3, Identity: "a"}
	if got, opened, err := open(2, "a"); !opened || err != nil || got != want {
		t.Errorf("a did not come back: %v, %v, %v", got, opened, err)
	}
	if _, opened, err := open(3, "b"); opened || !errors.Is(err, allocator.ErrIdentitySuperseded) {
		t.Errorf("b came back at once: %v, %v", opened, err)
	}
}
