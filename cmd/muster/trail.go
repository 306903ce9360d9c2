package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"muster/allocator"
	"muster/allocator/trail"
)

const (
	// trailPause is how long a server waits before it looks again for what is not in the audit trail.
	trailPause = 2 * time.Second
	// lastTrail bounds the append of what happened while the server drained; another server, or the next start, would do it too.
	lastTrail = 5 * time.Second
)

// keepTrail begins to append to the audit trail in the background. The caller calls stop when no more requests are served.
func (e *engine) keepTrail(log *slog.Logger) (stop func(), err error) {
	s := trail.New(e.measured, e.TrailKey(), log, time.Now)
	if err := measureTrail(e.registry, s); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(running, trailPause)
	}()
	return func() {
		cancel()
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), lastTrail)
		defer cancel()
		if _, err := s.Sequence(ctx); err != nil {
			log.Warn("the audit trail does not have the last changes yet", "error", err)
		}
	}, nil
}

// measureTrail shows operators how the trail keeps up.
func measureTrail(registry prometheus.Registerer, s *trail.Sequencer) error {
	gauge := func(name, help string, value func() float64) error {
		return registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	return errors.Join(
		gauge("muster_trail_lag_seconds", "How long ago the audit trail was last known to have everything.", func() float64 { return s.Lag().Seconds() }),
		gauge("muster_trail_entries", "Entries of the audit trail that this server knows of.", func() float64 { return float64(s.Head()) }),
		gauge("muster_trail_broken", "1 where the audit trail was changed, so that nothing is appended any more.", func() float64 {
			if s.Broken() {
				return 1
			}
			return 0
		}))
}

// verifyTrail checks the audit trail, and changes nothing.
func (c *auditCommand) verifyTrail(p *program) error {
	note, err := c.notedHead()
	if err != nil {
		return err
	}
	ledger, _, err := readyLedger(p.ctx, c.ledgerFlags, false, true)
	if err != nil {
		return err
	}
	report, err := c.verify(p, ledger, note)
	if err := errors.Join(err, ledger.Close()); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "audit trail: %d entries (%d to %d), %d seals, %d events wait for their entry, %d violations\n",
		report.Entries, report.First, report.Last, report.Seals, report.Waiting, report.Violations)
	for _, v := range report.Listed {
		fmt.Fprintf(p.stdout, "%s: entry %d: %s\n", v.Kind, v.Seq, v.Detail)
	}
	if more := report.Violations - len(report.Listed); more > 0 {
		fmt.Fprintf(p.stdout, "and %d more\n", more)
	}
	if report.Entries > 0 {
		fmt.Fprintf(p.stdout, "head %d %s\n", report.Last, hex.EncodeToString(report.Head[:]))
	}
	if report.Violations > 0 {
		return fmt.Errorf("%w: %d in the audit trail", errDiffers, report.Violations)
	}
	return nil
}

func (c *auditCommand) verify(p *program, ledger allocator.Ledger, note *[32]byte) (trail.Report, error) {
	who, err := p.identity(ledger, c.secretFlags, c.ledgerFlags, slog.New(slog.DiscardHandler), true)
	if err != nil {
		return trail.Report{}, err
	}
	secret := allocator.NewSecretWith(who.secret, who.ring)
	return trail.Verify(p.ctx, ledger, secret.TrailKey(), c.From, note)
}

// notedHead reads --trail-head; nil where there is none.
func (c *auditCommand) notedHead() (*[32]byte, error) {
	if c.TrailHead == "" {
		return nil, nil
	}
	hash, err := hex.DecodeString(c.TrailHead)
	if err != nil || len(hash) != 32 {
		return nil, usage("--trail-head is the hash that an earlier `muster audit --trail` printed: 64 hexadecimal digits")
	}
	return (*[32]byte)(hash), nil
}
