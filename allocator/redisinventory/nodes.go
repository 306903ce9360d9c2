package redisinventory

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"muster/allocator"
)

// nodes is the Redis behind an inventory: one node, or a cluster.
type nodes struct {
	client  redis.UniversalClient
	cluster *redis.ClusterClient // nil for a single node
	single  *redis.Client        // nil for a cluster
}

// newNodes connects to nothing yet. connected is called on each new connection, with the node's address.
func newNodes(o *Options, connected func(ctx context.Context, address string, c *redis.Conn) error) nodes {
	hook := func(address string) func(context.Context, *redis.Conn) error {
		return func(ctx context.Context, c *redis.Conn) error { return connected(ctx, address, c) }
	}
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if !o.Cluster {
		c := redis.NewClient(&redis.Options{
			Addr: o.Addresses[0], Username: o.Username, Password: o.Password, TLSConfig: o.TLS, Protocol: 2,
			MaxRetries: -1, DialerRetries: 1, DialTimeout: o.DialTimeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout,
			ContextTimeoutEnabled: true, PoolSize: o.Connections, PoolTimeout: o.Timeout, DisableIdentity: true,
			MaintNotificationsConfig: quiet, OnConnect: hook(o.Addresses[0]),
		})
		hooked(c, o.Hooks)
		return nodes{client: c, single: c}
	}
	c := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: o.Addresses, Username: o.Username, Password: o.Password, TLSConfig: o.TLS, Protocol: 2,
		MaxRetries: -1, DialerRetries: 1, MaxRedirects: 3, DialTimeout: o.DialTimeout, ReadTimeout: o.Timeout,
		WriteTimeout: o.Timeout, ContextTimeoutEnabled: true, PoolSize: o.Connections, PoolTimeout: o.Timeout,
		DisableIdentity: true, MaintNotificationsConfig: quiet,
		NewClient: func(n *redis.Options) *redis.Client {
			n.OnConnect = hook(n.Addr)
			node := redis.NewClient(n)
			hooked(node, o.Hooks)
			return node
		},
	})
	return nodes{client: c, cluster: c}
}

func hooked(c *redis.Client, hooks []redis.Hook) {
	for _, h := range hooks {
		c.AddHook(h)
	}
}

func (n *nodes) close() error { return n.client.Close() }

// lookAgain has a cluster's client find out soon, in the background, who serves what. By itself it does so once a minute, and
// when a node redirects it: a dead one does not, nor a demoted one that is only asked who it is.
func (n *nodes) lookAgain(ctx context.Context) {
	if n.cluster != nil {
		n.cluster.ReloadState(ctx) // many calls at once become one
	}
}

// master is the node that serves a key.
func (n *nodes) master(ctx context.Context, key string) (*redis.Client, error) {
	if n.cluster == nil {
		return n.single, nil
	}
	return n.cluster.MasterForKey(ctx, key)
}

// opening marks the context of calls that are there to find out who answers.
type opening struct{}

// identify asks who answers at the other end of one connection: run_id and master_replid. A node that is not a master has
// no identity: what it holds is another's.
func identify(ctx context.Context, c redis.Cmdable) (string, error) {
	server, err := c.Info(ctx, "server").Result()
	if err != nil {
		return "", err
	}
	replication, err := c.Info(ctx, "replication").Result()
	if err != nil {
		return "", err
	}
	run, role, replid := infoField(server, "run_id"), infoField(replication, "role"), infoField(replication, "master_replid")
	if role != "master" {
		return "", fmt.Errorf("the node is a %s", role)
	}
	return run + ":" + replid, nil
}

func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && key == name {
			return value
		}
	}
	return ""
}

// connected checks a new connection: every shard that was opened at this address on another incarnation is lost. The
// connection is refused unless it was made to find out.
func (inv *Inventory) connected(ctx context.Context, address string, c *redis.Conn) error {
	if ctx.Value(opening{}) != nil || !inv.openAt(address) {
		return nil
	}
	identity, err := identify(ctx, c)
	if err != nil {
		return err
	}
	if inv.seen(address, identity) {
		return fmt.Errorf("%s is %s now: %w", address, identity, allocator.ErrIncarnationLost)
	}
	return nil
}

// seen notes who answers at an address, and says whether any shard was opened there on another incarnation.
func (inv *Inventory) seen(address, identity string) (lost bool) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	for i := range inv.incarnations {
		in := &inv.incarnations[i]
		if in.address == address && in.identity != identity {
			in.lost, lost = true, true
		}
	}
	return lost
}

func (inv *Inventory) openAt(address string) bool {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	for _, in := range inv.incarnations {
		if in.address == address {
			return true
		}
	}
	return false
}

// onConnection runs f on one connection to the shard's master.
func (inv *Inventory) onConnection(ctx context.Context, shard int, f func(ctx context.Context, c *redis.Conn, address string) error) error {
	ctx = context.WithValue(ctx, opening{}, true)
	node, err := inv.nodes.master(ctx, inv.keys[shard].epoch)
	if err != nil {
		return inv.failed(ctx, shard, err)
	}
	c := node.Conn()
	defer c.Close()
	if err := f(ctx, c, node.Options().Addr); err != nil {
		return inv.failed(ctx, shard, err)
	}
	return nil
}

// Identity implements allocator.Inventory.
func (inv *Inventory) Identity(ctx context.Context, shard int) (identity string, err error) {
	err = inv.onConnection(ctx, shard, func(ctx context.Context, c *redis.Conn, address string) error {
		if identity, err = identify(ctx, c); err == nil {
			inv.seen(address, identity)
		}
		return err
	})
	return identity, err
}

// Open implements allocator.Inventory. Who answers, loading the scripts and the epoch itself go over one connection, so
// all three are of the same process.
func (inv *Inventory) Open(ctx context.Context, shard int, epoch int64, identity string, fresh bool) error {
	return inv.onConnection(ctx, shard, func(ctx context.Context, c *redis.Conn, address string) error {
		found, err := identify(ctx, c)
		if err != nil {
			return err
		}
		inv.seen(address, found)
		if found != identity {
			return fmt.Errorf("it is served by %s, not %s: %w", found, identity, allocator.ErrIncarnationLost)
		}
		scripts := scriptsOf(&inv.sources, inv.keys[shard], epoch, identity, &inv.options)
		for _, s := range scripts {
			if err := c.ScriptLoad(ctx, s.text).Err(); err != nil {
				return err
			}
		}
		flag := "0"
		if fresh {
			flag = "1"
		}
		if err := c.EvalSha(ctx, scripts[methodOpen].sha, []string{inv.keys[shard].epoch}, flag).Err(); err != nil {
			return err
		}
		inv.adopt(shard, incarnation{epoch: epoch, identity: identity, address: address, scripts: &scripts})
		return nil
	})
}

// adopt makes an incarnation current, unless a newer one is already.
func (inv *Inventory) adopt(shard int, in incarnation) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if old := inv.incarnations[shard]; old.epoch <= in.epoch || old.lost {
		inv.incarnations[shard] = in
	}
}

// Node is the address of the node that a shard was opened on last; "" where it was not yet. It does not block.
func (inv *Inventory) Node(shard int) string {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return inv.incarnations[shard].address
}
