// What the headers of an HTTP/2 request must be (RFC 9113, section 8). nghttp2 could check it, but refuses an
// :authority that is no host, and clients built on older grpc-go send their endpoint as it was configured,
// "http://10.0.0.1:2379" and all: so the rules are kept here, without that one.
#pragma once

#include <cstdint>
#include <string_view>

namespace quorate::net {

class H2HeaderRules {
 public:
  // The next header of a request, in order. False: the request is malformed.
  bool Take(std::string_view name, std::string_view value);
  // After the last one.
  bool Complete() const;
  // In trailers nothing but fields may stand.
  static bool AllowedInTrailers(std::string_view name, std::string_view value);

 private:
  bool TakePseudo(std::string_view name, std::string_view value);

  uint8_t seen_ = 0;  // One bit a pseudo-header.
  bool fields_ = false;
  bool connect_ = false;
};

}  // namespace quorate::net
