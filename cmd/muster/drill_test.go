package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
	"muster/allocator/allocatortest/servers"
)

// What docs/operations.md has operators do by hand, done here on real servers.

// postgresProgram runs one of PostgreSQL's own programs.
func postgresProgram(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("MUSTER_TEST_PG_BIN"), name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// book must succeed, and gives the reference.
func (s *server) book(site string, start time.Time, n int) string {
	s.t.Helper()
	return s.confirm(s.hold(site, start), person(n)).want(201).text("bookings.0.reference")
}

// look is the owner's view of a booking.
func (s *server) look(reference string) answer {
	s.t.Helper()
	return s.staff("GET", "/v1/bookings/"+reference, nil)
}

// The ledger is lost, and restored as it was some time ago. Redis knows more than that, under an epoch that the restored ledger
// takes for current: it would be believed. With Redis emptied before the servers start, what the ledger says is so.
func TestDrillLedgerRestored(t *testing.T) {
	node, lost := servers.Redis(t), servers.Postgres(t)
	common := []string{"--data", t.TempDir(), "--redis", "redis://" + node.Addr(), "--ledger"}
	s := serve(t, append([]string{"--dev"}, append(common, lost)...)...)
	s.world("DR001", 3)
	at := soon()
	cancelled, kept := s.book("DR001", at, 0), s.book("DR001", at, 1)
	dump := filepath.Join(t.TempDir(), "ledger.dump")
	postgresProgram(t, "pg_dump", "--format=custom", "--file="+dump, lost)
	s.staff("POST", "/v1/bookings/"+cancelled+"/cancel", object{"reason": "test"}).want2xx()
	forgotten := []string{s.book("DR001", at, 2), s.book("DR001", at, 3)}
	s.call("POST", "/v1/holds", claim("DR001", at)).want(409, allocator.CodeSlotFull)
	s.stop()

	restored := servers.Postgres(t)
	postgresProgram(t, "pg_restore", "--no-owner", "--dbname="+restored, dump)
	if code, out, complaints := run(t, append([]string{"audit"}, append(common, restored)...)...); code != exitDiffers {
		t.Fatalf("the audit of a restored ledger beside a Redis that knows more: exit %d\n%s%s", code, out, complaints)
	}
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	defer client.Close()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}

	s = serve(t, append([]string{"--dev"}, append(common, restored)...)...)
	for _, reference := range forgotten {
		s.look(reference).want(404, allocator.CodeBookingUnknown)
	}
	for _, reference := range []string{cancelled, kept} {
		if a := s.look(reference).want(200); a.text("status") != "booked" {
			t.Errorf("%s is %s", reference, a.text("status"))
		}
	}
	s.await("the last place is granted", func() bool {
		return s.call("POST", "/v1/holds", claim("DR001", at)).status == 201
	})
	s.call("POST", "/v1/holds", claim("DR001", at)).want(409, allocator.CodeSlotFull)
	s.await("the audit is clean", func() bool {
		code, _, _ := run(t, append([]string{"audit"}, append(common, restored)...)...)
		return code == exitDone
	})
}

// clusterNode is a node of a cluster with its id.
type clusterNode struct {
	*redis.Client
	id, host, port string
}

func nodeOf(t *testing.T, address string) clusterNode {
	t.Helper()
	n := clusterNode{Client: redis.NewClient(&redis.Options{Addr: address})}
	t.Cleanup(func() { n.Close() })
	var err error
	if n.host, n.port, err = net.SplitHostPort(address); err != nil {
		t.Fatal(err)
	}
	if n.id, err = n.Do(t.Context(), "CLUSTER", "MYID").Text(); err != nil {
		t.Fatal(err)
	}
	return n
}

// slotsInUse lists a node's hash slots that hold keys.
func (n clusterNode) slotsInUse(t *testing.T) (slots []int) {
	t.Helper()
	seen := map[int64]bool{}
	for i := n.Scan(t.Context(), 0, "*", 1000).Iterator(); i.Next(t.Context()); {
		slot, err := n.ClusterKeySlot(t.Context(), i.Val()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if !seen[slot] {
			seen[slot] = true
			slots = append(slots, int(slot))
		}
	}
	return slots
}

// moveSlot does what `redis-cli --cluster rebalance` does for each slot.
func moveSlot(ctx context.Context, slot int, from, to clusterNode, all []clusterNode) error {
	if err := errors.Join(to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.id).Err(),
		from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.id).Err()); err != nil {
		return err
	}
	for {
		keys, err := from.ClusterGetKeysInSlot(ctx, slot, 1).Result()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"MIGRATE", to.host, to.port, "", 0, 5000, "KEYS", keys[0]}
		if err := from.Do(ctx, args...).Err(); err != nil {
			return err
		}
	}
	for _, n := range append([]clusterNode{to, from}, all...) {
		if err := n.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", to.id).Err(); err != nil {
			return err
		}
	}
	return nil
}

// joined adds an empty node to a cluster.
func joined(t *testing.T, s *server, first clusterNode) clusterNode {
	fresh := nodeOf(t, servers.Redis(t, "--cluster-enabled", "yes").Addr())
	bus, err := first.ConfigGet(t.Context(), "cluster-port").Result()
	if err != nil {
		t.Fatal(err)
	}
	args := []any{"CLUSTER", "MEET", first.host, first.port}
	if port := bus["cluster-port"]; port != "" && port != "0" {
		args = append(args, port)
	}
	if err := fresh.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	s.await("the node has joined", func() bool {
		known, err := first.Do(t.Context(), "CLUSTER", "NODES").Text()
		state, err2 := fresh.ClusterInfo(t.Context()).Result()
		return errors.Join(err, err2) == nil && strings.Contains(known, fresh.id) && strings.Contains(state, "cluster_state:ok")
	})
	return fresh
}

// A node is added to Redis Cluster and takes shards from another while people book. They may meet 503 for a moment; nobody's
// booking is lost, nothing is sold twice, and every shard grants again on its new node.
func TestDrillRedisNodeAdded(t *testing.T) {
	var addresses []string
	for _, n := range servers.RedisClusterServers(t, 3) {
		addresses = append(addresses, n.Addr())
	}
	common := []string{"--data", t.TempDir(), "--ledger", servers.Postgres(t), "--redis", "redis://" + strings.Join(addresses, ",redis://")}
	s := serve(t, append([]string{"--dev"}, common...)...)
	var sites []string
	for n := range 12 {
		sites = append(sites, fmt.Sprintf("DN%03d", n))
		s.world(sites[n], 4)
	}
	var old []clusterNode
	for _, a := range addresses {
		old = append(old, nodeOf(t, a))
	}
	fresh := joined(t, s, old[0])
	stop, booked := crowd(t, s, sites)
	for _, slot := range old[0].slotsInUse(t) {
		if err := moveSlot(t.Context(), slot, old[0], fresh, old[1:]); err != nil {
			t.Fatal(err)
		}
	}
	for _, site := range sites {
		s.await("holds are granted at "+site, func() bool {
			return s.call("POST", "/v1/holds", claim(site, soon().Add(time.Hour))).status == 201
		})
	}
	stop()
	references := booked()
	for _, reference := range references {
		s.look(reference).want(200)
	}
	if len(references) == 0 {
		t.Error("nobody booked anything meanwhile")
	}
	if len(fresh.slotsInUse(t)) == 0 {
		t.Error("the new node serves no shard")
	}
	s.await("the audit is clean", func() bool {
		code, _, _ := run(t, append([]string{"audit"}, common...)...)
		return code == exitDone
	})
}

// crowd has people book one after another, everywhere, until they are told to stop; booked gives their references.
func crowd(t *testing.T, s *server, sites []string) (stop func(), booked func() []string) {
	var mu sync.Mutex
	var references []string
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for worker := range 3 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil && n < 100; n++ {
				site, start := sites[(n*5+worker)%len(sites)], soon().Add(time.Duration(n%3)*10*time.Minute)
				held := s.call("POST", "/v1/holds", claim(site, start))
				if held.status != 201 {
					continue
				}
				if a := s.confirm(held.text("holdId"), person(worker*100+n)); a.status == 201 {
					mu.Lock()
					references = append(references, a.text("bookings.0.reference"))
					mu.Unlock()
				}
			}
		})
	}
	stop = func() { cancel(); all.Wait() }
	t.Cleanup(stop)
	return stop, func() []string { mu.Lock(); defer mu.Unlock(); return references }
}
