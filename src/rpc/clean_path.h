// What Go's http.ServeMux does with paths that are not clean ("//version", "/v2/./members"): it sends the
// client to the clean one. Source: https://pkg.go.dev/net/http#ServeMux, https://pkg.go.dev/path#Clean. Pure
// functions.
#pragma once

#include <string>
#include <string_view>

namespace quorate::rpc {

// The path without empty, "." and ".." elements; a '/' at its end stays. Only of paths that begin with '/'.
std::string CleanPath(std::string_view path);

// Whether CleanPath would change it; cheap.
bool IsCleanPath(std::string_view path);

// Percent-encoded as net/url writes a path.
std::string EscapePath(std::string_view path);

// What a browser shows who is sent elsewhere.
std::string RedirectPage(std::string_view url);

}  // namespace quorate::rpc
