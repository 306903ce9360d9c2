package allocator

import "encoding/json"

// AppendJSON appends a text as a JSON string, byte for byte as encoding/json writes it, without using memory where nothing
// in it needs an escape.
func AppendJSON(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			escaped, _ := json.Marshal(text) // a string never fails
			return append(b, escaped...)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}
