package main

import (
	"context"
	"fmt"
	"log/slog"

	"muster/allocator"
	"muster/api"
	"muster/waitingroom"
)

// nearMetres is what people in a waiting room are told to be near: as far as a search looks.
const nearMetres = 50_000

// rooms are the waiting rooms of an engine, once they run.
func (e *engine) rooms(log *slog.Logger) (*waitingroom.Rooms, error) {
	return waitingroom.New(waitingroom.Options{
		Documents: e.measured, Seals: e.Seals(), Log: log,
		Free: func(ctx context.Context, service allocator.ServiceCode) (int, error) {
			return e.Remaining(ctx, service, "", 0)
		},
		Near: func(ctx context.Context, service allocator.ServiceCode, area string) (int, error) {
			return e.Remaining(ctx, service, area, nearMetres)
		},
	})
}

// queued is an engine behind the door of its waiting rooms.
type queued struct {
	api.Engine
	door *waitingroom.Door
}

func (q queued) Hold(ctx context.Context, req allocator.HoldRequest) (allocator.Hold, error) {
	return q.door.Hold(ctx, req)
}

func (q queued) Release(ctx context.Context, token string) error { return q.door.Release(ctx, token) }

func (q queued) Extend(ctx context.Context, token string) (allocator.Hold, error) {
	return q.door.Extend(ctx, token)
}

func (q queued) Confirm(ctx context.Context, req allocator.ConfirmRequest) ([]allocator.BookingView, error) {
	return q.door.Confirm(ctx, req)
}

type drawCommand struct {
	Commitment string   `required:"" placeholder:"HEX" help:"What the room had promised: state.commitment of GET /v1/services/{service}/waiting-room before the draw."`
	Seed       string   `required:"" placeholder:"HEX" help:"state.seed of the same after the draw."`
	Beacon     string   `placeholder:"TEXT" help:"beaconValue of the same, where the room names a beacon."`
	Tickets    []string `arg:"" help:"Tickets of the draw."`
}

// Run checks a draw, and tells where tickets came in it: at 0 the first, near 1 the last. It needs no server and no secret.
func (c *drawCommand) Run(p *program) error {
	for _, ticket := range c.Tickets {
		rank, err := waitingroom.CheckDraw(c.Commitment, c.Seed, c.Beacon, ticket)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%.6f %s…\n", float64(rank)/(1<<64), ticket[12:24])
	}
	return nil
}
