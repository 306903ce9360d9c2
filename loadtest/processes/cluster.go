package processes

import (
	"context"
	"fmt"
	"strconv"
)

const clusterSlots = 16384

// JoinCluster makes a Redis Cluster of nodes that were just started as such, and returns when each of them serves. It shares
// the slots out and gives each node an epoch of its own, so that none must be voted on.
func JoinCluster(ctx context.Context, nodes []*Redis) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for i, node := range nodes {
		if err := node.join(ctx, nodes[0], i, len(nodes)); err != nil {
			return err
		}
	}
	for _, node := range nodes {
		if err := node.AwaitCluster(ctx, len(nodes)); err != nil {
			return fmt.Errorf("%s: %w", node.Addr(), err)
		}
	}
	return nil
}

// join tells one node of its slots, its epoch and the first node.
func (s *Redis) join(ctx context.Context, first *Redis, i, n int) error {
	commands := [][]any{
		{"CLUSTER", "ADDSLOTSRANGE", i * clusterSlots / n, (i+1)*clusterSlots/n - 1},
		{"CLUSTER", "SET-CONFIG-EPOCH", i + 1},
		{"CLUSTER", "MEET", "127.0.0.1", first.port, first.busPort},
	}
	if i == 0 {
		commands = commands[:2]
	}
	client := s.client()
	defer client.Close()
	for _, command := range commands {
		if err := client.Do(ctx, command...).Err(); err != nil {
			return fmt.Errorf("%v: %w", command, err)
		}
	}
	return nil
}

// AwaitCluster waits until the node knows so many nodes and each slot has one.
func (s *Redis) AwaitCluster(ctx context.Context, nodes int) error {
	return Await(ctx, Patience, func(ctx context.Context) error { return s.serves(ctx, nodes) })
}

// serves is nil when the node knows all nodes and each slot has one.
func (s *Redis) serves(ctx context.Context, nodes int) error {
	client := s.client()
	defer client.Close()
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	for _, want := range [][2]string{
		{"cluster_state", "ok"},
		{"cluster_known_nodes", strconv.Itoa(nodes)},
		{"cluster_slots_ok", strconv.Itoa(clusterSlots)},
	} {
		if err := says(info, want[0], want[1]); err != nil {
			return err
		}
	}
	return nil
}
