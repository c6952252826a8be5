// Boost.Beast's parser of HTTP/1 requests, as a connection uses it. Internal.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/parser.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/wipe.h"
#include "net/http.h"

namespace quorate::net {

// Collects a body, or hands it to a sink as it is parsed.
struct RequestBody {
  struct value_type {
    ~value_type() { Wipe(&text); }

    std::string text;
    std::shared_ptr<HttpBodySink>* sink = nullptr;  // The connection's; empty: collect.
    const bool* over = nullptr;                     // Nobody wants more of it.
  };

  class reader {
   public:
    template <bool IsRequest, typename Fields>
    reader(boost::beast::http::header<IsRequest, Fields>&, value_type& body) : body_(body) {}
    void init(const boost::optional<uint64_t>&, boost::system::error_code& error) { error = {}; }
    template <typename Buffers>
    size_t put(const Buffers& buffers, boost::system::error_code& error) {
      error = {};
      size_t size = 0;
      for (const boost::asio::const_buffer buffer : boost::beast::buffers_range_ref(buffers)) {
        const std::string_view bytes(static_cast<const char*>(buffer.data()), buffer.size());
        size += bytes.size();
        if (*body_.over || bytes.empty()) continue;
        if (*body_.sink == nullptr) {
          AppendWiping(&body_.text, bytes);
        } else {
          const std::shared_ptr<HttpBodySink> sink = *body_.sink;
          sink->OnBytes(bytes);
        }
      }
      return size;
    }
    void finish(boost::system::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

// The fields are overwritten when they go: they may hold credentials.
using Http1Head = boost::beast::http::header<true, boost::beast::http::basic_fields<WipingAllocator<char>>>;

class Http1Parser {
 public:
  explicit Http1Parser(size_t header_bytes_max) : header_bytes_max_(header_bytes_max) {
    beast.header_limit(static_cast<uint32_t>(header_bytes_max));
  }

  // Parses the next of the request, which begins where the last call's result has ended, and returns how much
  // of it is done. Not after is_done().
  size_t Put(std::string_view input, boost::system::error_code& error);

  boost::beast::http::request_parser<RequestBody, WipingAllocator<char>> beast;
  HttpRequest request;  // Without its body; once the header is there.

 private:
  // How the lines of the head end.
  enum class Lines : uint8_t { kUnknown, kCrLf, kLf };

  static bool HasBareLine(std::string_view lines, size_t* searched);
  size_t PutBareHead(std::string_view input, boost::system::error_code& error);

  const size_t header_bytes_max_;
  Lines lines_ = Lines::kUnknown;
  size_t searched_ = 0;  // Of the head, for the ends of its lines, or its own.
};

}  // namespace quorate::net
