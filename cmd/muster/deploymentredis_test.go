package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"muster/allocator"
	"muster/allocator/allocatortest/servers"
)

// What deploy/ says about Redis, on a real one: its settings are taken, they do what they are there for, and the rights that
// the program is given are all that it needs.

const redisSettings = "../../deploy/kustomize/redis"

// deployedRedis gives redis.conf as the command line's options, the cluster's own left out.
func deployedRedis(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(redisSettings, "redis.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var options []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "cluster-") {
			continue
		}
		name, value, _ := strings.Cut(line, " ")
		options = append(options, "--"+name)
		options = append(options, strings.Fields(strings.ReplaceAll(value, `""`, "\x00"))...)
		if last := len(options) - 1; options[last] == "\x00" {
			options[last] = ""
		}
	}
	return options
}

const musterPassword = "for-tests-only"

// deployedUser makes the user muster at each address with the rights of users.acl.example, and the sum of the password above.
func deployedUser(t testing.TB, addresses ...string) []*redis.Client {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(redisSettings, "users.acl.example"))
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*redis.Client
	for _, address := range addresses {
		node := redis.NewClient(&redis.Options{Addr: address})
		t.Cleanup(func() { node.Close() })
		nodes = append(nodes, node)
		made := false
		for line := range strings.Lines(string(data)) {
			words := strings.Fields(line)
			if len(words) < 3 || words[0] != "user" || words[1] != "muster" {
				continue
			}
			args := []any{"ACL", "SETUSER"}
			for _, w := range words[1:] {
				if strings.HasPrefix(w, "#") {
					w = ">" + musterPassword
				}
				args = append(args, w)
			}
			if err := node.Do(t.Context(), args...).Err(); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			made = true
		}
		if !made {
			t.Fatal("users.acl.example has no user muster")
		}
	}
	return nodes
}

// urls are the nodes' for that user.
func urls(addresses []string) string {
	var all []string
	for _, a := range addresses {
		all = append(all, "redis://muster:"+musterPassword+"@"+a)
	}
	return strings.Join(all, ",")
}

// everything drives what people and operators do, so that every script runs.
func everything(t *testing.T, s *server, args []string) {
	for _, site := range []string{"RA001", "RA002", "RA003", "RA004"} {
		s.world(site, 1)
		at := soon()
		first := s.hold(site, at)
		s.call("POST", "/v1/holds/"+first+"/extend", nil).want(200)
		s.call("GET", "/v1/holds/"+first, nil).want(200)
		s.call("POST", "/v1/holds", claim(site, at)).want(409, allocator.CodeSlotFull)
		s.call("DELETE", "/v1/holds/"+first, nil).want2xx()
		booked := s.confirm(s.hold(site, at), person(int(site[4]))).want(201)
		s.await("the search sees the booking", func() bool {
			reply := s.call("GET", "/v1/sites/"+site+"/availability?service=RSV:Adult&from="+dayOf(at)+"&to="+dayOf(at), nil)
			return reply.status == 200
		})
		s.publish(site, at, session("10:00", "12:00", 10, 2, "RSV:Adult")).want(200)
		s.hold(site, at)
		s.staff("POST", "/v1/bookings/"+booked.text("bookings.0.reference")+"/cancel", object{"reason": "test"}).want2xx()
	}
	common := []string{"--data", args[2], "--redis", args[4], "--ledger", args[6]}
	if code, out, complaints := run(t, append([]string{"rebuild", "--all"}, common...)...); code != exitDone {
		t.Errorf("rebuild: exit %d\n%s%s", code, out, complaints)
	}
	s.await("the audit is clean", func() bool {
		code, _, _ := run(t, append([]string{"audit"}, common...)...)
		return code == exitDone
	})
}

// nothingDenied reads what Redis refused for want of a right.
func nothingDenied(t *testing.T, nodes []*redis.Client) {
	for _, node := range nodes {
		denied, err := node.Do(context.Background(), "ACL", "LOG").Slice()
		if err != nil {
			t.Error(err)
		}
		for _, entry := range denied {
			t.Errorf("Redis refused the program something: %v", entry)
		}
	}
}

func TestDeployedRedisRights(t *testing.T) {
	one := servers.Redis(t, append(deployedRedis(t), "--min-replicas-to-write", "0")...)
	nodes := deployedUser(t, one.Addr())
	args := []string{"--dev", "--data", t.TempDir(), "--redis", urls([]string{one.Addr()}), "--ledger", servers.Postgres(t)}
	t.Cleanup(func() { nothingDenied(t, nodes) }) // also where something failed, as the cause
	everything(t, serve(t, args...), args)

	nothingDenied(t, nodes)

	other := redis.NewClient(&redis.Options{Addr: one.Addr(), Username: "muster", Password: musterPassword, DisableIdentity: true})
	defer other.Close()
	for _, command := range [][]any{{"FLUSHALL"}, {"CONFIG", "GET", "*"}, {"KEYS", "*"}, {"GET", "another/program's"}, {"EVAL", "return 1", "0"}, {"SHUTDOWN"}} {
		if err := other.Do(t.Context(), command...).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
			t.Errorf("the program's user may %v: %v", command, err)
		}
	}
	if err := nodes[0].Do(t.Context(), "ACL", "LOG", "RESET").Err(); err != nil { // these were to be refused
		t.Error(err)
	}
}

func TestDeployedRedisRightsInACluster(t *testing.T) {
	cluster := servers.RedisClusterServers(t, 3, append(deployedRedis(t), "--min-replicas-to-write", "0")...)
	var addresses []string
	for _, node := range cluster {
		addresses = append(addresses, node.Addr())
	}
	nodes := deployedUser(t, addresses...)
	args := []string{"--dev", "--data", t.TempDir(), "--redis", urls(addresses), "--ledger", servers.Postgres(t)}
	t.Cleanup(func() { nothingDenied(t, nodes) }) // also where something failed, as the cause
	everything(t, serve(t, args...), args)
}

// A primary that no replica follows takes no holds, and does as soon as one follows: what docs/operations.md promises of
// min-replicas-to-write.
func TestDeployedRedisWaitsForItsReplicas(t *testing.T) {
	primary := servers.Redis(t, deployedRedis(t)...)
	s := serve(t, "--dev", "--data", t.TempDir(), "--redis", "redis://"+primary.Addr(), "--ledger", servers.Postgres(t))
	s.world("RB001", 5)
	s.call("POST", "/v1/holds", claim("RB001", soon())).want(503, allocator.CodeUnavailable)
	servers.RedisReplica(t, primary, deployedRedis(t)...)
	s.await("a hold is granted", func() bool {
		return s.call("POST", "/v1/holds", claim("RB001", soon())).status == 201
	})
}
