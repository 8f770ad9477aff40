package plan

import (
	"testing"

	"theseus/rpc/term"
)

func TestEachInstructionHasItsWords(t *testing.T) {
	for instruction, want := range map[string]string{
		`{load_object_code,{shop,"1.1.0",[shop_till,shop_price]}}`: "read from shop 1.1.0: shop_till, shop_price",
		`point_of_no_return`:                                   "point of no return: whatever fails from here on costs a restart",
		`{load,{shop_price,brutal_purge,brutal_purge}}`:        "load shop_price; kills who runs the code before the last one; at the commit kills who stays in the last one",
		`{load,{shop_price,soft_purge,soft_purge}}`:            "load shop_price; refused while a process runs the code before the last one",
		`{remove,{shop_price,soft_purge,brutal_purge}}`:        "take the code of shop_price away; refused while a process runs the code before the last one; at the commit kills who stays in the last one",
		`{purge,[shop_price]}`:                                 "kill every process that runs older code of shop_price",
		`{suspend,[shop_till,{shop_stock,5000}]}`:              "suspend the processes of shop_till, shop_stock (waits 5000 ms for each)",
		`{resume,[shop_till]}`:                                 "let the processes of shop_till go on",
		`{code_change,[{shop_till,[]}]}`:                       "have the suspended processes of shop_till change their state (code_change, up)",
		`{code_change,down,[{shop_till,[]}]}`:                  "have the suspended processes of shop_till change their state (code_change, down)",
		`{stop,[shop_till]}`:                                   "end the processes of shop_till through their supervisors: their state is lost",
		`{start,[shop_till]}`:                                  "start what was ended of shop_till again",
		`{sync_nodes,shop,[a@b]}`:                              "wait until the nodes [a@b] are here as well",
		`{apply,{application,start,[mail,permanent]}}`:         "start the application mail",
		`{apply,{application,stop,[mail]}}`:                    "stop the application mail",
		`{apply,{application,unload,[mail]}}`:                  "unload the application mail",
		`{apply,{supervisor,restart_child,[shop_sup,till]}}`:   "have the supervisor shop_sup start till",
		`{apply,{supervisor,terminate_child,[shop_sup,till]}}`: "have the supervisor shop_sup end till",
		`{apply,{supervisor,delete_child,[shop_sup,till]}}`:    "have the supervisor shop_sup forget till",
		`{apply,{shop,migrate,[1,2]}}`:                         "call shop:migrate/2",
		`restart_new_emulator`:                                 "restart the node with the new ERTS, kernel, stdlib and sasl, and go on there: state and connections end",
		`restart_emulator`:                                     "restart the node: state and connections end",
		`{sing,[shop]}`:                                        "unknown to release_handler: {sing,[shop]}",
		`{load,shop_price}`:                                    "unknown to release_handler: {load,shop_price}",
		`{apply,{shop,migrate}}`:                               "unknown to release_handler: {apply,{shop,migrate}}",
	} {
		parsed, err := term.ParseOne([]byte(instruction))
		if err != nil {
			t.Fatal(err)
		}
		if got := parseOp(parsed).String(); got != want {
			t.Errorf("%s\n is %q\nnot %q", instruction, got, want)
		}
	}
}
