package simulation

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	resp "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// node is one Redis process: miniredis holds the data and carries out the commands, an interpreter of its own runs the
// scripts. Everything happens in the goroutine that calls it, at the instant that it is told. Nodes that share an
// interpreter take turns.
type node struct {
	redis   *miniredis.Miniredis
	lua     *interpreter
	now     func() time.Time
	runID   string
	replID  string
	scripts map[string]*script // by their name, as SCRIPT LOAD gave it
	replies bytes.Buffer
	writer  *bufio.Writer
	peer    *resp.Peer
}

// newNode starts an empty process.
func newNode(lua *interpreter, runID, replID string, now func() time.Time) (*node, error) {
	n := &node{redis: miniredis.NewMiniRedis(), lua: lua, now: now, runID: runID, replID: replID, scripts: make(map[string]*script)}
	c, err := n.redis.Dial() // starts it, without a listener
	if err != nil {
		return nil, fmt.Errorf("starting a node: %w", err)
	}
	if err := c.Close(); err != nil {
		return nil, fmt.Errorf("starting a node: %w", err)
	}
	n.writer = bufio.NewWriter(&n.replies)
	n.peer = resp.NewPeer(n.writer)
	return n, nil
}

// close ends what the process runs.
func (n *node) close() { n.redis.Close() }

// command carries out one command of a script or of a client, and answers int, string, nil, []any, resp.Simple or an error.
func (n *node) command(args []string) (any, error) {
	n.replies.Reset()
	n.redis.Server().Dispatch(n.peer, args)
	if err := n.writer.Flush(); err != nil {
		return nil, err
	}
	return resp.ParseReply(bufio.NewReader(&n.replies))
}

// do is a client's command.
func (n *node) do(args []string) (any, error) {
	n.lua.mu.Lock()
	defer n.lua.mu.Unlock()
	n.redis.SetTime(n.now())
	switch strings.ToUpper(args[0]) {
	case "INFO":
		return fmt.Sprintf("# Server\r\nrun_id:%s\r\nrole:master\r\nmaster_replid:%s\r\n", n.runID, n.replID), nil
	case "SCRIPT":
		s, err := n.lua.load(args[2])
		if err != nil {
			return nil, err
		}
		n.scripts[s.name] = s
		return s.name, nil
	case "EVALSHA":
		s, ok := n.scripts[args[1]]
		if !ok {
			return nil, redis.ErrNoScript
		}
		return n.lua.run(s, n, args[3:4], args[4:])
	default:
		return nil, fmt.Errorf("ERR the simulated node does not know %q", args[0])
	}
}

// flush is FLUSHALL: the data goes, run_id and scripts stay.
func (n *node) flush() { n.redis.FlushAll() }

// copyTo makes another process hold this one's data.
func (n *node) copyTo(other *node) error {
	from, to := n.redis.DB(0), other.redis.DB(0)
	other.redis.FlushAll()
	for _, key := range from.Keys() {
		var err error
		switch from.Type(key) {
		case "string":
			var value string
			if value, err = from.Get(key); err == nil {
				err = to.Set(key, value)
			}
		case "hash":
			err = copyHash(from, to, key)
		case "list":
			var list []string
			if list, err = from.List(key); err == nil {
				_, err = to.Push(key, list...)
			}
		case "zset":
			var set map[string]float64
			set, err = from.SortedSet(key)
			for member, score := range set {
				if err == nil {
					_, err = to.ZAdd(key, score, member)
				}
			}
		case "stream":
			var entries []miniredis.StreamEntry
			entries, err = from.Stream(key)
			for _, e := range entries {
				if err == nil {
					_, err = to.XAdd(key, e.ID, e.Values)
				}
			}
		default:
			err = fmt.Errorf("a key of type %s", from.Type(key))
		}
		if err != nil {
			return fmt.Errorf("copying %q: %w", key, err)
		}
	}
	return nil
}

func copyHash(from, to *miniredis.RedisDB, key string) error {
	fields, err := from.HKeys(key)
	if err != nil {
		return err
	}
	pairs := make([]string, 0, 2*len(fields))
	for _, f := range fields {
		pairs = append(pairs, f, from.HGet(key, f))
	}
	to.HSet(key, pairs...)
	return nil
}
