// A program that uses the types made from the document of the sample API.
import type { components, paths } from "./api";

type GetBook = paths["/v1/shelves/{shelf}/books/{book}"]["get"];
type Book = GetBook["responses"]["200"]["content"]["application/json"];
type Created = components["schemas"]["library.v1.BookInput"];

export const path: GetBook["parameters"]["path"] = { shelf: "fiction", book: "1" };
export const created: Created = { title: "A title", authors: ["An author"] };

export function told(book: Book): string {
  const title: string | undefined = book.title;
  return `${title} has ${book.pageCount ?? 0} pages`;
}

// @ts-expect-error a shelf is a string
export const wrong: GetBook["parameters"]["path"] = { shelf: 1, book: "1" };
