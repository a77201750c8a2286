// A program that uses the client that openapi-generator made from the document of the sample API.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"example.com/calls/sample"
)

func main() {
	settings := sample.NewConfiguration()
	settings.Servers = sample.ServerConfigurations{{URL: os.Args[1]}}
	library := sample.NewAPIClient(settings).LibraryV1LibraryServiceAPI
	ctx := context.Background()

	create := library.LibraryServiceCreateShelf(ctx).ShelfId("maps")
	made, _, err := create.LibraryV1ShelfInput(*sample.NewLibraryV1ShelfInput("Maps")).Execute()
	if err != nil {
		log.Fatal(err)
	}
	found, _, err := library.LibraryServiceGetShelf(ctx, "maps").Execute()
	if err != nil {
		log.Fatal(err)
	}
	_, response, err := library.LibraryServiceGetShelf(ctx, "none").Execute()
	var failure *sample.GenericOpenAPIError
	if !errors.As(err, &failure) {
		log.Fatalf("a missing shelf was found: %v", err)
	}
	missing, ok := failure.Model().(sample.Failure)
	if !ok {
		log.Fatalf("an error of another form: %s", failure.Body())
	}
	fmt.Println(made.GetName(), found.GetTheme(), response.StatusCode, missing.Error.Status)
}
