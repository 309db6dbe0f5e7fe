package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/keeper"
	"github.com/roostmail/roost/core/server"
)

// askCore asks the core of the server that runs with a configuration file, and calls f for each line of its answer but the last.
func askCore(file string, r keeper.Request, f func(server.ControlReply) error) error {
	c, err := config.Load(file, bundle.Catalog())
	if err != nil {
		return err
	}
	done := false
	err = keeper.Follow(c.Keeper.Control, r, func(line []byte) error {
		var reply server.ControlReply
		if err := json.Unmarshal(line, &reply); err != nil {
			return fmt.Errorf("the server's answer: %w", err)
		}
		switch {
		case reply.Error != "":
			return errors.New(reply.Error)
		case reply.Done:
			done = true
			return nil
		}
		return f(reply)
	})
	if err == nil && !done {
		err = errors.New("the server has not answered to the end: it ends, or was reloaded")
	}
	return err
}
