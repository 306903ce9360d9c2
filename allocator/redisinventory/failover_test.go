package redisinventory_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/allocator/allocatortest/inventorysuite"
	"muster/allocator/allocatortest/servers"
)

// A demoted node sends nobody on who only asks it who it is, so the inventory must look for the new master by itself.
func TestClusterFailover(t *testing.T) {
	masters := servers.RedisClusterServers(t, 3)
	var addresses []string
	for _, m := range masters {
		addresses = append(addresses, m.Addr())
	}
	replica := replicaOf(t, masters[0])
	for _, address := range addresses {
		knows(t, address, len(masters)+1) // else it would not vote
	}
	inv, _ := openAt(t, inventorysuite.Settings{Shards: 3}, true, addresses...)
	const shard = 0 // lies on the first node, see tagOf
	before, err := inv.Identity(t.Context(), shard)
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Do(t.Context(), "CLUSTER", "FAILOVER", "TAKEOVER").Err(); err != nil {
		t.Fatal(err)
	}
	soon(t, "the replica is a master", func() error { return says(t, replica, "replication", "role:master") })
	soon(t, "another node has the shard", func() error {
		now, err := inv.Identity(t.Context(), shard)
		if err == nil && now == before {
			err = fmt.Errorf("%s is still who serves it", now)
		}
		return err
	})
}

// replicaOf adds a replica to a master of a cluster.
func replicaOf(t *testing.T, master *servers.RedisServer) *redis.Client {
	t.Helper()
	of := redis.NewClient(&redis.Options{Addr: master.Addr()})
	defer of.Close()
	myself, err := of.ClusterNodes(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	var id, bus string
	for line := range strings.Lines(myself) {
		if words := strings.Fields(line); strings.Contains(words[2], "myself") {
			_, bus, _ = strings.Cut(words[1], "@")
			id, bus = words[0], strings.Split(bus, ",")[0]
		}
	}
	own, err := net.Listen("tcp", "127.0.0.1:0") // a port for the replica's own bus
	if err != nil {
		t.Fatal(err)
	}
	port := own.Addr().(*net.TCPAddr).Port
	own.Close()
	host, masterPort, _ := net.SplitHostPort(master.Addr())
	node := servers.Redis(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(port), "--cluster-node-timeout", "2000")
	client := redis.NewClient(&redis.Options{Addr: node.Addr()})
	t.Cleanup(func() { client.Close() })
	if err := client.Do(t.Context(), "CLUSTER", "MEET", host, masterPort, bus).Err(); err != nil {
		t.Fatal(err)
	}
	soon(t, "the replica knows its master", func() error { return client.ClusterReplicate(t.Context(), id).Err() })
	soon(t, "the replica is in step", func() error { return says(t, client, "replication", "master_link_status:up") })
	return client
}

func says(t *testing.T, client *redis.Client, section, line string) error {
	info, err := client.Info(t.Context(), section).Result()
	if err == nil && !strings.Contains(info, line) {
		err = fmt.Errorf("no %s in %s", line, info)
	}
	return err
}

func knows(t *testing.T, address string, nodes int) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	soon(t, fmt.Sprintf("%s knows %d nodes", address, nodes), func() error {
		info, err := client.ClusterInfo(t.Context()).Result()
		if err == nil && !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", nodes)) {
			err = fmt.Errorf("not so: %s", info)
		}
		return err
	})
}

// soon looks until look returns nil, for far less than the minute after which a client looks by itself.
func soon(t *testing.T, what string, look func() error) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for err := look(); err != nil; err = look() {
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("in vain waited until %s: %v", what, err)
		}
	}
}
