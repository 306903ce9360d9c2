package simulation

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	resp "github.com/alicebob/miniredis/v2/server"
)

// interpreter runs the engine's own scripts. miniredis can run them too, but reads each text anew for every incarnation, and
// makes a new Lua state for every call; thousands of simulated minutes need it cheaper. So the head of a script, which
// names its incarnation in local variables, is read once for each incarnation, and what follows it, the same for all, is
// compiled once and takes the head's values as arguments. Nothing else of a script is touched.
type interpreter struct {
	mu     sync.Mutex // held by the node that carries out a command
	state  *lua.LState
	bodies map[string]*lua.LFunction
	heads  map[string][]lua.LValue
	loaded map[string]*script // by text
	node   *node              // of the call that is under way
}

// script is a loaded script: its name, what is compiled, and its incarnation's values.
type script struct {
	name string
	body *lua.LFunction
	head []lua.LValue
}

func newInterpreter() (*interpreter, error) {
	in := &interpreter{
		state:  lua.NewState(lua.Options{SkipOpenLibs: true, RegistrySize: 64 * 1024, CallStackSize: 256}),
		bodies: make(map[string]*lua.LFunction), heads: make(map[string][]lua.LValue), loaded: make(map[string]*script),
	}
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString, lua.MathLibName: lua.OpenMath,
	} {
		if err := in.state.CallByParam(lua.P{Fn: in.state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return nil, fmt.Errorf("opening Lua's %q: %w", name, err)
		}
	}
	redis := in.state.NewTable()
	redis.RawSetString("call", in.state.NewFunction(in.call))
	redis.RawSetString("error_reply", in.state.NewFunction(errorReply))
	in.state.SetGlobal("redis", redis)
	return in, nil
}

// headLine is a line of a script's head.
var headLine = regexp.MustCompile(`^local ((?:[A-Z_0-9]+(?:, )?)+) = `)

// load reads a script's text.
func (in *interpreter) load(text string) (*script, error) {
	if s := in.loaded[text]; s != nil {
		return s, nil
	}
	var names []string
	body := text
	for {
		m := headLine.FindStringSubmatch(body)
		if m == nil {
			break
		}
		names = append(names, m[1])
		_, body, _ = strings.Cut(body, "\n")
	}
	list := strings.Join(names, ", ")
	head, err := in.values(text[:len(text)-len(body)], list)
	if err != nil {
		return nil, err
	}
	f := in.bodies[body]
	if f == nil {
		if f, err = in.compile("local " + list + " = ...\n" + body); err != nil {
			return nil, err
		}
		in.bodies[body] = f
	}
	sum := sha1.Sum([]byte(text))
	s := &script{name: hex.EncodeToString(sum[:]), body: f, head: head}
	in.loaded[text] = s
	return s, nil
}

// forget lets go of every incarnation, when a world has ended.
func (in *interpreter) forget() {
	clear(in.heads)
	clear(in.loaded)
}

// values are what a head gives its names.
func (in *interpreter) values(head, names string) ([]lua.LValue, error) {
	if known, ok := in.heads[head]; ok {
		return known, nil
	}
	f, err := in.compile(head + "return " + names)
	if err != nil {
		return nil, err
	}
	in.state.Push(f)
	if err := in.state.PCall(0, lua.MultRet, nil); err != nil {
		return nil, fmt.Errorf("ERR %w", err)
	}
	values := make([]lua.LValue, in.state.GetTop())
	for i := range values {
		values[i] = in.state.Get(i + 1)
	}
	in.state.SetTop(0)
	in.heads[head] = values
	return values, nil
}

func (in *interpreter) compile(text string) (*lua.LFunction, error) {
	chunk, err := parse.Parse(strings.NewReader(text), "script")
	if err != nil {
		return nil, fmt.Errorf("ERR %w", err)
	}
	proto, err := lua.Compile(chunk, "script")
	if err != nil {
		return nil, fmt.Errorf("ERR %w", err)
	}
	return in.state.NewFunctionFromProto(proto), nil
}

// run calls a script on a node.
func (in *interpreter) run(s *script, n *node, keys, args []string) (any, error) {
	in.node = n
	in.state.SetGlobal("KEYS", in.strings(keys))
	in.state.SetGlobal("ARGV", in.strings(args))
	defer in.state.SetTop(0)
	in.state.Push(s.body)
	for _, v := range s.head {
		in.state.Push(v)
	}
	if err := in.state.PCall(len(s.head), 1, nil); err != nil {
		return nil, fmt.Errorf("ERR script: %w", err)
	}
	return replyOf(in.state.Get(-1))
}

func (in *interpreter) strings(list []string) *lua.LTable {
	t := in.state.CreateTable(len(list), 0)
	for _, s := range list {
		t.Append(lua.LString(s))
	}
	return t
}

// replyOf converts what a script returns as Redis does.
func replyOf(v lua.LValue) (any, error) {
	switch v := v.(type) {
	case lua.LString:
		return string(v), nil
	case lua.LNumber:
		return int64(v), nil
	case lua.LBool:
		if v {
			return int64(1), nil
		}
		return nil, nil
	case *lua.LTable:
		if text, ok := v.RawGetString("err").(lua.LString); ok {
			return nil, fmt.Errorf("%s", string(text))
		}
		if text, ok := v.RawGetString("ok").(lua.LString); ok {
			return string(text), nil
		}
		list := make([]any, 0, v.Len())
		for i := 1; ; i++ {
			item := v.RawGetInt(i)
			if item == lua.LNil {
				return list, nil
			}
			value, err := replyOf(item)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
	default:
		return nil, nil
	}
}

// call is redis.call.
func (in *interpreter) call(l *lua.LState) int {
	args := make([]string, l.GetTop())
	for i := range args {
		switch v := l.Get(i + 1).(type) {
		case lua.LString:
			args[i] = string(v)
		case lua.LNumber:
			args[i] = numberText(float64(v))
		default:
			l.RaiseError("Lua redis lib command arguments must be strings or integers")
		}
	}
	reply, err := in.node.command(args)
	if err != nil {
		l.RaiseError("%s", err.Error())
	}
	l.Push(luaOf(l, reply))
	return 1
}

// numberText is how Redis writes a number that is an argument: 17 digits, so that whole ones stay whole.
func numberText(v float64) string {
	if v == float64(int64(v)) {
		return fmt.Sprintf("%d", int64(v))
	}
	return fmt.Sprintf("%.17g", v)
}

// luaOf converts a reply as Redis does.
func luaOf(l *lua.LState, reply any) lua.LValue {
	switch r := reply.(type) {
	case int:
		return lua.LNumber(r)
	case string:
		return lua.LString(r)
	case []byte:
		return lua.LString(r)
	case resp.Simple:
		t := l.NewTable()
		t.RawSetString("ok", lua.LString(r))
		return t
	case []any:
		t := l.CreateTable(len(r), 0)
		for i, item := range r {
			t.RawSetInt(i+1, luaOf(l, item))
		}
		return t
	default:
		return lua.LFalse
	}
}

func errorReply(l *lua.LState) int {
	t := l.NewTable()
	t.RawSetString("err", lua.LString(l.CheckString(1)))
	l.Push(t)
	return 1
}
