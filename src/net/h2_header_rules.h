// What the headers of an HTTP/2 request must be (RFC 9113, section 8). nghttp2 could check it, but refuses an
// :authority that is no host, and clients built on older grpc-go send their endpoint as it was configured,
// "http://10.0.0.1:2379" and all: so the rules are kept here, without that one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace quorate::net {

class H2HeaderRules {
 public:
  // The next header of a request, in order. False: the request is malformed. `known`: this very name and
  // value were allowed before, so that only their place matters.
  bool Take(std::string_view name, std::string_view value, bool known = false);
  // Of headers taken so far.
  size_t count() const { return count_; }
  // After the last one.
  bool Complete() const;
  // In trailers nothing but fields may stand.
  static bool AllowedInTrailers(std::string_view name, std::string_view value);

 private:
  bool TakePseudo(std::string_view name, std::string_view value, bool known);

  size_t count_ = 0;
  uint8_t seen_ = 0;  // One bit a pseudo-header.
  bool fields_ = false;
  bool connect_ = false;
};

}  // namespace quorate::net
