package control

// Patterns are those of all requests that are answered.
func Patterns() []string {
	var patterns []string
	for _, r := range (&server{}).routes() {
		patterns = append(patterns, r.pattern)
	}
	return patterns
}
