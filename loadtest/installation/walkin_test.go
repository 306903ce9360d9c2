package installation

import (
	"context"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"muster/allocator"
	"muster/allocator/allocatortest"
	"muster/allocator/allocatortest/checkers"
)

// A walk-in that was refused is not booked afterwards by an earlier copy of the same request that was under way (P6).
func TestRefusedWalkInStaysRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and -short was asked for")
	}
	in := Start(t, Options{})
	w := in.Publish(WorldOptions{Sites: 1, Slots: 1, Capacity: 1})
	c := in.NewCrowd(w, CrowdOptions{Seed: 1})
	one := &citizen{caller{crowd: c, rng: rand.New(rand.NewPCG(1, 1)), only: in.Servers[1].Base}}
	ctx := context.Background()
	claim := checkers.Claim{Slot: allocator.SlotID{Site: w.Sites[0], Start: allocator.MinuteOf(w.Starts[0]), Length: slotMinutes}, Service: ServiceA}
	var last booking
	for range 2 { // both places that A may use
		h, ok := one.hold(ctx, []checkers.Claim{claim})
		if !ok {
			t.Fatal("no hold")
		}
		b, a := one.confirm(ctx, &h, one.people(h.claims), nil)
		if !a.ok() {
			t.Fatal(a.code)
		}
		last = b[0]
	}
	body := holdBody([]checkers.Claim{claim})
	delete(body, "siteId")
	body["person"] = personBody(allocatortest.NHSNumber(77))
	r := request{http.MethodPost, "/v1/sites/" + string(w.Sites[0]) + "/walkins", body, map[string]string{"Authorization": "Bearer dev", "Idempotency-Key": "K1"}}
	in.Servers[0].Redis.Latency(900*time.Millisecond, 0)
	client := httpClient()
	slow := make(chan answer)
	go func() { slow <- send(ctx, client, in.Servers[0].Base, r) }()
	pause(ctx, 200*time.Millisecond)
	quick := send(ctx, client, in.Servers[1].Base, r)
	one.cancelBooking(ctx, last, staff)
	if late := <-slow; quick.code != allocator.CodeSlotFull || late.ok() {
		t.Errorf("refused with %q, and the earlier copy was answered %d %s", quick.code, late.status, late.body)
	}
}
