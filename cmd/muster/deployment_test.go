package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/oasdiff/yaml"
)

// Whatever deploy/ and the operators' documents tell people to run must be what this program understands: its own grammar
// reads every command line, and knows every variable.

// grammar parses command lines without running them.
func grammar(t testing.TB) *kong.Kong {
	t.Helper()
	parser, err := kong.New(new(commands), kong.Name("muster"), kong.DefaultEnvars("MUSTER"),
		kong.Exit(func(code int) { panic(leave(code)) }))
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

// understood says what the grammar has against a command line.
func understood(t testing.TB, args []string) (err error) {
	defer func() {
		if code, ok := recover().(leave); ok && code != 0 {
			err = fmt.Errorf("exit %d", code)
		}
	}()
	_, err = grammar(t).Parse(args)
	return err
}

// variables are the environment that the program reads.
func variables(t testing.TB) map[string]bool {
	known := map[string]bool{"MUSTER_SECRET": true}
	var visit func(n *kong.Node)
	visit = func(n *kong.Node) {
		for _, f := range n.Flags {
			for _, name := range f.Envs {
				known[name] = true
			}
		}
		for _, child := range n.Children {
			visit(child)
		}
	}
	visit(grammar(t).Model.Node)
	return known
}

// documents decodes every document of every YAML file of the deployment, as plain values.
func documents(t testing.TB, visit func(path string, value any)) {
	t.Helper()
	for _, root := range []string{"../../deploy/kustomize", "../../deploy/compose"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, document := range strings.Split("\n"+string(data), "\n---\n") {
				var value any
				if _, err := yaml.Unmarshal([]byte(document), &value, yaml.DecodeOpts{}); err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
				visit(path, value)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// walk visits every mapping below a value.
func walk(value any, visit func(mapping map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		visit(v)
		for _, below := range v {
			walk(below, visit)
		}
	case []any:
		for _, below := range v {
			walk(below, visit)
		}
	}
}

// commandOf gives the program's arguments where a mapping describes a container that runs it.
func commandOf(mapping map[string]any) []string {
	for _, key := range []string{"args", "command"} {
		list, _ := mapping[key].([]any)
		var args []string
		for _, a := range list {
			args = append(args, fmt.Sprint(a))
		}
		if len(args) > 0 && strings.Contains(" serve migrate import audit rebuild version ", " "+args[0]+" ") {
			return args
		}
	}
	return nil
}

// environmentOf gives the names of the variables that a mapping sets, in Kubernetes' way or in Compose's.
func environmentOf(mapping map[string]any) (names []string) {
	if list, ok := mapping["env"].([]any); ok {
		for _, one := range list {
			if variable, ok := one.(map[string]any); ok {
				names = append(names, fmt.Sprint(variable["name"]))
			}
		}
	}
	if set, ok := mapping["environment"].(map[string]any); ok {
		for name := range set {
			names = append(names, name)
		}
	}
	return names
}

func TestDeployedCommandsAreUnderstood(t *testing.T) {
	known, commands, named := variables(t), map[string]int{}, 0
	documents(t, func(path string, value any) {
		walk(value, func(mapping map[string]any) {
			if args := commandOf(mapping); args != nil {
				commands[args[0]]++
				if err := understood(t, args); err != nil {
					t.Errorf("%s: muster %s: %v", path, strings.Join(args, " "), err)
				}
			}
			for _, name := range environmentOf(mapping) {
				if strings.HasPrefix(name, "MUSTER_") {
					named++
					if !known[name] {
						t.Errorf("%s sets %s, which the program does not read", path, name)
					}
				}
			}
		})
	})
	if commands["serve"] < 3 || commands["migrate"] < 2 || commands["audit"] < 1 || named < 6 {
		t.Errorf("found only the commands %v and %d variables: the deployment is not read as it is written", commands, named)
	}
}

func TestDeployedSecretsSetWhatIsRead(t *testing.T) {
	data, err := os.ReadFile("../../deploy/compose/prepare")
	if err != nil {
		t.Fatal(err)
	}
	known := variables(t)
	found := regexp.MustCompile(`"(MUSTER_[A-Z_]+)=`).FindAllStringSubmatch(string(data), -1)
	for _, m := range found {
		if !known[m[1]] {
			t.Errorf("prepare sets %s, which the program does not read", m[1])
		}
	}
	if len(found) == 0 {
		t.Error("prepare sets no variable of the program")
	}
}

// commandSpan is an inline command of the program in a document.
var commandSpan = regexp.MustCompile("`muster ([a-z][^`]*)`")

// Commands in the operators' documents are whole or end in an ellipsis; words in capitals stand for values.
func TestDocumentedCommandsAreUnderstood(t *testing.T) {
	files, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d runbooks: %v", len(files), err)
	}
	checked := 0
	for _, path := range append(files, "../../docs/operations.md") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range commandSpan.FindAllStringSubmatch(string(data), -1) {
			args := strings.Fields(m[1])
			if args[len(args)-1] == "…" {
				args = args[:len(args)-1]
			}
			checked++
			if err := understood(t, args); err != nil && !strings.Contains(err.Error(), "missing flags") {
				t.Errorf("%s: muster %s: %v", path, m[1], err)
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d commands were found in the documents", checked)
	}
}

// The rules above refuse what they should.
func TestMisspeltCommandsAreNotUnderstood(t *testing.T) {
	for _, args := range [][]string{{"serve", "--lisen=:1"}, {"serve", "--drain-seconds=soon"}, {"audits"}, {"migrate", "--redis=x"}} {
		if understood(t, args) == nil {
			t.Errorf("%v was understood", args)
		}
	}
	if variables(t)["MUSTER_REDDIS"] || !variables(t)["MUSTER_OPS_LISTEN"] {
		t.Error("the program's variables are not told apart")
	}
}
