package volume

// Signer is who signed a package.
type Signer struct {
	Key     string `json:"key"`     // its id
	Comment string `json:"comment"` // that the signature covers
}

// least is the oldest schema that has room for the state. Agents refuse fields that they do not know, so that they
// never write a state without them: one that needs none stays readable for the agent before.
//
//	1  the first
//	2  Release.Signer, Removed
func (s State) least() int {
	if len(s.Removed) > 0 {
		return 2
	}
	for _, r := range s.Releases {
		if r.Signer != (Signer{}) {
			return 2
		}
	}
	return 1
}
