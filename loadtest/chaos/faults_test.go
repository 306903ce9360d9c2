package chaos

import (
	"time"

	"muster/loadtest/installation"
)

// Faults of servers.

// serverKilled ends a server without a word and starts it again a little later, twice.
func serverKilled(s *stage) {
	for range 2 {
		victim := s.someServer()
		if s.in.Postgres == nil {
			s.in.Lost() // its memory is the inventory
		}
		victim.Kill()
		s.injected()
		s.wait(300*time.Millisecond, 2*time.Second)
		victim.Revive()
		if s.in.Postgres == nil {
			s.in.Lost()
		}
		s.wait(500*time.Millisecond, time.Second)
	}
}

// serverFrozen stops a server for longer than its holds live, while Redis begins a new epoch behind its back.
func serverFrozen(s *stage) {
	zombie := s.someServer()
	zombie.Pause()
	s.injected()
	s.wait(time.Second, 2*time.Second)
	s.losing(func() {
		s.in.Primary().Kill()
		s.in.Primary().Restart()
	})
	s.wait(4*time.Second, 6*time.Second)
	zombie.Resume()
}

// Faults of Redis.

// losing does something of which the inventory may lose something.
func (s *stage) losing(do func()) {
	s.in.Lost()
	do()
	s.in.Lost()
}

func redisKilled(s *stage) {
	for range 2 {
		s.losing(func() {
			s.in.Primary().Kill()
			s.injected()
			s.wait(100*time.Millisecond, 2500*time.Millisecond)
			s.in.Primary().Restart()
		})
		s.wait(500*time.Millisecond, 1500*time.Millisecond)
	}
}

// redisFrozen stops Redis for longer than any call waits.
func redisFrozen(s *stage) {
	s.in.Primary().Pause()
	s.injected()
	s.wait(3*time.Second, 5*time.Second)
	s.in.Primary().Resume()
}

// redisLogCut has Redis come back with less than it had acknowledged.
func redisLogCut(s *stage) {
	for range 2 {
		s.losing(func() {
			s.in.Primary().Kill()
			s.injected()
			if s.in.Primary().CutLog(int64(1+s.rng.IntN(30_000))) == 0 {
				s.t.Error("there was nothing to cut")
			}
			s.in.Primary().Restart()
		})
		s.wait(1500*time.Millisecond, 2500*time.Millisecond)
	}
}

func redisFlushed(s *stage) {
	for range 3 {
		s.losing(func() {
			if _, err := s.in.Primary().Do(s.t.Context(), "FLUSHALL"); err != nil {
				s.t.Error(err)
			}
		})
		s.injected()
		s.wait(time.Second, 2*time.Second)
	}
}

// redisFailedOver promotes a replica that has missed acknowledged writes. One server goes on with the old primary for a while.
func redisFailedOver(s *stage) {
	old, replica := s.in.Redis[0], s.in.Redis[1]
	s.in.Lost()
	replica.Link.Cut()
	s.wait(time.Second, 2*time.Second) // what is written now is lost
	s.in.Lost()
	split := s.in.Split()
	if _, err := replica.Do(s.t.Context(), "REPLICAOF", "NO", "ONE"); err != nil {
		s.t.Error(err)
		return
	}
	s.injected()
	s.in.Redis[0], s.in.Redis[1] = replica, old
	last := s.rng.IntN(len(s.in.Servers))
	for i, server := range s.in.Servers {
		if i != last {
			server.Redis.Point(replica.Addr())
		}
	}
	s.wait(time.Second, 4*time.Second)
	s.in.Servers[last].Redis.Point(replica.Addr())
	split()
}

// Faults on the way.

// during breaks links for a while, again and again.
func during(s *stage, times int, least, most time.Duration, links installation.Links, verb func(*installation.Link)) {
	for range times {
		links.Each(verb)
		s.injected()
		s.wait(least, most)
		links.Each((*installation.Link).Heal)
		s.wait(300*time.Millisecond, 800*time.Millisecond)
	}
}

// redisRepliesCut lets calls of one server take effect unheard, then of the other.
func redisRepliesCut(s *stage) {
	for _, server := range s.in.Servers {
		during(s, 1, time.Second, 3*time.Second, installation.Links{server.Redis}, (*installation.Link).CutReplies)
	}
}

// ledgerRepliesCut leaves the outcome of commits unknown.
func ledgerRepliesCut(s *stage) {
	for _, server := range s.in.Servers {
		during(s, 1, time.Second, 3*time.Second, installation.Links{server.Ledger}, (*installation.Link).CutReplies)
	}
}

func redisReset(s *stage) {
	during(s, 4, 200*time.Millisecond, time.Second, s.in.RedisLinks(), (*installation.Link).Reset)
}

func ledgerReset(s *stage) {
	during(s, 4, 200*time.Millisecond, time.Second, s.in.LedgerLinks(), (*installation.Link).Reset)
}

func late(l *installation.Link) { l.Latency(80*time.Millisecond, 70*time.Millisecond) }

func redisLate(s *stage) { during(s, 1, 3*time.Second, 5*time.Second, s.in.RedisLinks(), late) }

func ledgerLate(s *stage) { during(s, 1, 3*time.Second, 5*time.Second, s.in.LedgerLinks(), late) }

// redisParted cuts one server off from Redis; the others go on.
func redisParted(s *stage) {
	during(s, 1, 4*time.Second, 7*time.Second, installation.Links{s.someServer().Redis}, (*installation.Link).Cut)
}

// ledgerParted cuts one server off from the ledger for longer than it goes on granting holds.
func ledgerParted(s *stage) {
	during(s, 1, 5*time.Second, 8*time.Second, installation.Links{s.someServer().Ledger}, (*installation.Link).Cut)
}

// Faults of the ledger.

func ledgerKilled(s *stage) {
	for range 2 {
		s.in.Postgres.Kill()
		s.injected()
		s.wait(100*time.Millisecond, 2*time.Second)
		s.in.Postgres.Restart()
		s.wait(500*time.Millisecond, time.Second)
	}
}

func ledgerFrozen(s *stage) {
	s.in.Postgres.Pause()
	s.injected()
	s.wait(3*time.Second, 7*time.Second)
	s.in.Postgres.Resume()
}

// ledgerTerminated ends all connections from the database's side, some of them in mid-commit.
func ledgerTerminated(s *stage) {
	ended := 0
	for range 30 {
		n, err := s.in.Postgres.Terminate(s.t.Context())
		if err != nil {
			s.t.Error(err)
		}
		if n > 0 {
			s.injected()
		}
		ended += n
		s.wait(50*time.Millisecond, 200*time.Millisecond)
	}
	if ended == 0 {
		s.t.Error("no connection was ever there to be ended")
	}
}

// Faults of a Cluster.

// masterKilled ends a master for good until its replica has taken over, then another one.
func masterKilled(s *stage) {
	masters := len(s.in.Redis) / 2
	first := s.rng.IntN(masters)
	for _, i := range []int{first, (first + 1) % masters} {
		master, replica := s.in.Redis[i], s.in.Redis[i+masters]
		s.losing(func() {
			master.Kill()
			s.injected()
			if err := replica.AwaitMaster(); err != nil {
				s.t.Error(err)
			}
		})
		s.wait(time.Second, 2*time.Second)
		master.Restart()
		if err := master.AwaitReplica(); err != nil {
			s.t.Error(err)
		}
	}
}

// Faults of an embedded installation are those of its one server, and of its disk: see disk_linux_test.go.
