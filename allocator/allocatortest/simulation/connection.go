package simulation

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// connection is a server's way to Redis: a hook that carries every command to the node that the server is connected to,
// in place of a network. Messages are lost, delayed and repeated a level higher, where a call is one message.
type connection struct {
	node *node // nil: nobody answers
}

var _ redis.Hook = (*connection)(nil)

// redisError is an error that Redis itself answered.
type redisError string

func (e redisError) Error() string { return string(e) }

// RedisError marks it for the client.
func (redisError) RedisError() {}

// DialHook implements redis.Hook: nothing is ever dialled.
func (c *connection) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("a simulated server dialled a real network")
	}
}

// ProcessPipelineHook implements redis.Hook.
func (c *connection) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error {
		return fmt.Errorf("the simulation knows no pipelines")
	}
}

// ProcessHook implements redis.Hook.
func (c *connection) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		err := c.process(cmd)
		cmd.SetErr(err)
		return err
	}
}

func (c *connection) process(cmd redis.Cmder) error {
	if c.node == nil {
		return fmt.Errorf("connection refused")
	}
	args := make([]string, len(cmd.Args()))
	for i, a := range cmd.Args() {
		args[i] = argument(a)
	}
	reply, err := c.node.do(args)
	if err != nil {
		return redisError(err.Error())
	}
	switch cmd := cmd.(type) {
	case *redis.Cmd:
		if reply == nil {
			return redis.Nil
		}
		cmd.SetVal(reply)
	case *redis.StringCmd:
		cmd.SetVal(reply.(string))
	default:
		return fmt.Errorf("the simulation does not know a %T", cmd)
	}
	return nil
}

// argument is how the client writes one.
func argument(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		if v {
			return "1"
		}
		return "0"
	default:
		return fmt.Sprint(v)
	}
}
