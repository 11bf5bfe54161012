// Generate writes the typed clients into gen/, from the published descriptor set:
//
//	go run ./generate [DESCRIPTOR_SET]
//
// The plugins are tools in go.mod. After the modules are downloaded, no proto file, protoc or network is needed.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const (
	published = "../../target/angarium.binpb"
	out       = "gen"
	// The prefix of the files' go_package: the module that they become part of.
	module = "example.com/angarium/gen"
)

func main() {
	log.SetFlags(0)
	from := published
	if len(os.Args) > 1 {
		from = os.Args[1]
	}
	if err := generate(from); err != nil {
		log.Fatal(err)
	}
}

func generate(from string) error {
	encoded, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("%w: run `cargo xtask descriptors` first", err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(encoded, &set); err != nil {
		return fmt.Errorf("%s is no descriptor set: %w", from, err)
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	for _, plugin := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		if err := run(plugin, &set); err != nil {
			return fmt.Errorf("%s: %w", plugin, err)
		}
	}
	return nil
}

// Run calls the plugin as protoc would.
func run(plugin string, set *descriptorpb.FileDescriptorSet) error {
	request := &pluginpb.CodeGeneratorRequest{
		Parameter: proto.String("module=" + module),
		ProtoFile: set.File,
	}
	for _, file := range set.File {
		// The other files come from the modules that their go_package names.
		if strings.HasPrefix(file.GetName(), "angarium/") {
			request.FileToGenerate = append(request.FileToGenerate, file.GetName())
		}
	}
	input, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	command := exec.Command("go", "tool", plugin)
	command.Stdin = bytes.NewReader(input)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(output, &response); err != nil {
		return err
	}
	if response.Error != nil {
		return fmt.Errorf("%s", response.GetError())
	}
	for _, file := range response.File {
		path := filepath.Join(out, filepath.FromSlash(file.GetName()))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(file.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
