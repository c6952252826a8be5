#include "rpc/metrics_answer.h"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"

namespace quorate::rpc {
namespace {

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

// "q=0", "q=0.", "q=0.000"
bool IsWeightOfNothing(std::string_view parameters) {
  const std::string_view weight = Trim(parameters);
  return weight.starts_with("q=0") && weight.find_first_not_of("0.", 2) == std::string_view::npos;
}

}  // namespace

bool AcceptsGzip(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    const size_t comma = std::min(accept_encoding.find(','), accept_encoding.size());
    const std::string_view coding = Trim(accept_encoding.substr(0, comma));
    accept_encoding.remove_prefix(std::min(comma + 1, accept_encoding.size()));
    if (coding == "gzip") return true;
    constexpr std::string_view kWithWeight = "gzip;";
    if (coding.starts_with(kWithWeight)) return !IsWeightOfNothing(coding.substr(kWithWeight.size()));
  }
  return false;
}

std::string Gzip(std::string_view text) {
  // The page repeats itself: more effort makes it a tenth smaller, and takes three times as long.
  constexpr int kLevel = Z_BEST_SPEED;
  constexpr int kWindowAndGzip = 15 + 16;
  constexpr int kMemoryLevel = 8;
  z_stream z{};
  QUORATE_CHECK(deflateInit2(&z, kLevel, Z_DEFLATED, kWindowAndGzip, kMemoryLevel, Z_DEFAULT_STRATEGY) ==
                Z_OK);
  std::string out(deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  QUORATE_CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

void SendMetrics(Executor* executor, std::string page, const net::HttpRequest& request, net::HttpReply reply,
                 net::HttpHeaders headers) {
  headers.emplace_back("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  if (!AcceptsGzip(request.header("Accept-Encoding").value_or(""))) return reply.Send(200, headers, page);
  headers.emplace_back("Content-Encoding", "gzip");
  reply.HoldOutput(page.size());
  const auto body = std::make_shared<std::string>(std::move(page));
  executor->Submit(
      Lane::kRead, [body] { *body = Gzip(*body); },
      [body, reply = std::move(reply), headers = std::move(headers)]() mutable {
        reply.HoldOutput(0);
        reply.Send(200, headers, *body);
      });
}

}  // namespace quorate::rpc
