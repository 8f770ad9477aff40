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
//	3  Release.Unproven, Boots, FirstBoot and LastBoot, Failure.Boots, Failure.Package
func (s State) least() int {
	least := 1
	if len(s.Removed) > 0 {
		least = 2
	}
	for _, r := range s.Releases {
		switch {
		case r.Unproven:
			return 3
		case r.Signer != (Signer{}):
			least = 2
		}
	}
	for _, f := range s.Failed {
		if f.Package != "" {
			return 3
		}
	}
	return least
}
