package agent

import (
	"fmt"
	"os"
	"strings"

	"theseus/agent/family"
	"theseus/volume"
)

// placeCommand makes bin/<name> on the volume what the release's own launcher would be there, if it has one: remote, rpc, eval,
// pid and stop of the node that runs. A node without them is no reason not to boot.
func (k *keeper) placeCommand(node *incarnation, r volume.Release) {
	release := familyRelease(k.volume, r)
	script := family.Of(release, family.Host{}).Command(release, node.reach)
	if script == nil {
		return
	}
	err := writeInetRC(node.reach)
	if err == nil {
		err = k.volume.PlaceCommand(r.Name, script)
	}
	if err != nil {
		k.journal.log.Error("cannot place the commands of the release; the node runs without them", "err", err)
	}
}

// writeInetRC has clients of the node, which listens on loopback, find it there whatever the name of its host stands for.
func writeInetRC(n family.Node) error {
	if n.InetRC == "" {
		return nil
	}
	_, host, _ := strings.Cut(n.Name, "@")
	text := fmt.Sprintf("{host, {127,0,0,1}, [%q, %q]}.\n{lookup, [file, native]}.\n", host, hostname())
	return os.WriteFile(n.InetRC, []byte(text), 0o644)
}
