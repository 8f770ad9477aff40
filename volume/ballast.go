package volume

import "crypto/rand"

// ballastBytes is room for the records on a disk that is full: state.json is replaced by a new file, and needs its own.
const ballastBytes = 1 << 20

func (v *Volume) ballastPath() string { return v.agentPath("ballast") }

// withRoom does what a full disk must not prevent: the ballast gives its room to it.
func (v *Volume) withRoom(write func() error) error {
	err := write()
	if isFull(err) && v.disk.Remove("release the ballast", v.ballastPath()) == nil {
		err = write()
	}
	return err
}

// layBallast makes the ballast where it is missing and there is room for more than that. It is of random bytes, since a
// file system may keep zeros without blocks. That it could not be made is no error: the next recovery tries again.
func (v *Volume) layBallast() {
	info, err := v.disk.Lstat(v.ballastPath())
	if err == nil && info.Size() == v.ballast {
		return
	}
	free, err := v.disk.Free(v.root)
	if err != nil || free.bytes < 4*v.ballast || free.files == 0 {
		return
	}
	content := make([]byte, v.ballast)
	rand.Read(content) // never fails (crypto/rand)
	s := v.step("lay the ballast")
	err = s.removeFile(v.ballastPath())
	if err == nil {
		err = s.writeFile(v.ballastPath(), content, 0o600, closeUnsynced)
	}
	if err != nil {
		_ = s.removeFile(v.ballastPath())
	}
}
