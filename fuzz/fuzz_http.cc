// Any bytes on a connection of the net layer, which serves a few methods and pages: it must end every
// connection and every stream. The connection is one end of a socket pair.
//
// Byte 0, modulo 4: 0 the rest is sent as it is; 1 it is instructions for HTTP/2 (h2_conversation.h); 2 it is
// the body of one gRPC call; 3 it goes to the parsers of headers and messages alone. Byte 1: the size of the
// pieces in which it is sent, 0 for one piece; its top bit: the client closes its side at the end.
// Of byte 0, bit 2: the client goes away before calls that wait are answered; bit 3: the server drains
// halfway.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "fuzz/h2_conversation.h"
#include "fuzz/input.h"
#include "net/grpc_framing.h"
#include "net/server_impl.h"

namespace quorate::net {
namespace {

// All small, so that each is reached.
constexpr size_t kMessageBytesMax = 16 * 1024;
constexpr size_t kHeaderBytesMax = 4 * 1024;
constexpr size_t kHttpBodyBytesMax = 8 * 1024;
constexpr size_t kOutputBytesMax = 64 * 1024;
constexpr size_t kAssemblyBytesMax = 24 * 1024;
constexpr uint32_t kStreamsMax = 20;
// "The server never closes": more rounds than any input needs.
constexpr int kRoundsMax = 10'000;
// Rounds after which a server that has nothing to say is done.
constexpr int kIdleRounds = 3;
// Longer than any run.
constexpr int64_t kGraceNanos = 60'000'000'000;

// Echoes, and ends the call when told to.
class Echo : public StreamHandler {
 public:
  explicit Echo(StreamCall call) : call_(call) {}
  void OnMessage(std::string_view message) override {
    call_.Send(message);
    if (message.starts_with("end")) call_.Finish(Code::kAborted, message);
  }
  void OnHalfClose() override { call_.Finish(Code::kOk, ""); }
  void OnClosed(Code) override { QUORATE_CHECK(call_.closed()); }

 private:
  StreamCall call_;
};

// Answers each message with more than a window takes.
class Source : public StreamHandler {
 public:
  explicit Source(StreamCall call) : call_(call) {}
  void OnMessage(std::string_view) override { Pump(); }
  void OnHalfClose() override { ended_ = true; }
  void OnWritable() override { Pump(); }
  void OnClosed(Code) override {}

 private:
  void Pump() {
    const std::string message(9000, 's');
    for (; left_ > 0 && call_.pending_bytes() < kStreamPendingHigh; --left_) call_.Send(message);
    if (ended_ && left_ == 0) call_.Finish(Code::kOk, "");
  }

  StreamCall call_;
  int left_ = 40;
  bool ended_ = false;
};

// A page in pieces, as fast as the client takes them.
class LongPage : public std::enable_shared_from_this<LongPage> {
 public:
  explicit LongPage(HttpReply reply) : reply_(std::move(reply)) {}
  void Start() {
    reply_.OnClosed([self = shared_from_this()] { self->left_ = 0; });
    reply_.OnWritable([self = shared_from_this()] { self->Pump(); });
    reply_.Begin(200, {});
    Pump();
  }

 private:
  void Pump() {
    const std::string piece(20'000, 'p');
    for (; left_ > 0 && !reply_.closed() && reply_.pending_bytes() < kStreamPendingHigh; --left_) {
      reply_.Write(piece);
    }
    if (left_ == 0) reply_.End();
  }

  HttpReply reply_;
  int left_ = 60;
};

struct Manners {
  size_t piece = 0;
  bool half_close = false;
  bool leave_early = false;
  bool drain = false;
};

class Harness {
 public:
  Harness() : server_(&loop_, Limits()) {
    server_.AddMethod("/t.T/Echo", {[](UnaryCall call, std::string_view m) {
                                      static_cast<void>(call.metadata("token"));
                                      call.Respond(m);
                                    },
                                    nullptr, 0});
    server_.AddMethod("/t.T/Wait", {[this](UnaryCall call, std::string_view) {
                                      call.OnCancel([this](Code) { ++cancelled_; });
                                      waiting_.push_back(call);
                                    },
                                    nullptr, 1});
    server_.AddMethod("/t.T/Stream",
                      {nullptr, [](StreamCall call) { return std::make_unique<Echo>(call); }, 2});
    server_.AddMethod("/t.T/Source",
                      {nullptr, [](StreamCall call) { return std::make_unique<Source>(call); }, 3});
    server_.http_handler = [this](HttpRequest request, HttpReply reply) { Answer(request, reply); };
  }

  void Converse(std::string_view bytes, const Manners& manners) {
    int fds[2];
    QUORATE_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    server_.Adopt(fds[0], "unix:fuzz");
    const int client = fds[1];
    const size_t half = manners.drain ? bytes.size() / 2 : bytes.size();
    SendAll(client, bytes.substr(0, half), manners.piece);
    bool drained = !manners.drain;
    if (manners.drain) server_.Drain(kGraceNanos, [&drained] { drained = true; });
    SendAll(client, bytes.substr(half), manners.piece);
    if (manners.half_close) shutdown(client, SHUT_WR);
    if (!manners.leave_early) {
      Rest(client);
      AnswerWaiting();
      Rest(client);
    }
    close(client);
    for (int i = 0; server_.stats.connections_open > 0 || !drained; ++i) {
      QUORATE_CHECK_MSG(i < kRoundsMax, "the connection of a client that went away stays");
      loop_.RunRound(false);
      // A client that closed may be one that waits for its answer: HTTP/1.1 tells no difference before that.
      if (i > kIdleRounds) AnswerWaiting();
    }
    AnswerWaiting();
    QUORATE_CHECK(server_.stats.streams_open == 0);
  }

 private:
  static ServerOptions Limits() {
    ServerOptions options;
    options.message_bytes_max = kMessageBytesMax;
    options.header_bytes_max = kHeaderBytesMax;
    options.http_body_bytes_max = kHttpBodyBytesMax;
    options.output_bytes_max = kOutputBytesMax;
    options.assembly_bytes_max = kAssemblyBytesMax;
    options.max_concurrent_streams = kStreamsMax;
    return options;
  }

  void Answer(const HttpRequest& request, HttpReply reply) {
    if (request.path.ends_with("/wait")) {
      pages_.push_back(reply);
    } else if (request.path.ends_with("/long")) {
      std::make_shared<LongPage>(reply)->Start();
    } else if (request.path == "/pieces") {
      reply.Begin(200, {{"a", "b"}});
      for (const std::string& value : request.query_values("v")) reply.Write(value);
      reply.Write(request.body);
      reply.End();
    } else {
      static_cast<void>(request.header("x"));
      reply.Send(request.path == "/empty" ? 204 : 200, {}, request.body);
    }
  }

  void AnswerWaiting() {
    for (UnaryCall& call : waiting_) call.Fail(Code::kNotFound, "caf\xc3\xa9 %");
    for (HttpReply& page : pages_) page.Send(200, {}, "late");
    waiting_.clear();
    pages_.clear();
  }

  void SendAll(int client, std::string_view bytes, size_t piece) {
    while (!bytes.empty() && SendPiece(client, &bytes, piece)) Rest(client);
  }

  // False when the server has closed.
  bool SendPiece(int client, std::string_view* bytes, size_t piece) {
    const size_t size = piece == 0 ? bytes->size() : std::min(piece, bytes->size());
    for (int i = 0; i < kRoundsMax; ++i) {
      const ssize_t n = send(client, bytes->data(), size, MSG_NOSIGNAL);
      if (n >= 0) {
        bytes->remove_prefix(static_cast<size_t>(n));
        return true;
      }
      // The server takes no input while its output waits: the client below reads it.
      if (errno != EAGAIN) return false;
      Rest(client);
    }
    return false;
  }

  // Turns the loop, taking what the server sends, until it says nothing more.
  void Rest(int client) {
    char buffer[16 * 1024];
    for (int idle = 0, i = 0; idle < kIdleRounds && i < kRoundsMax; ++i) {
      loop_.RunRound(false);
      const ssize_t n = recv(client, buffer, sizeof buffer, 0);
      idle = n > 0 ? 0 : idle + 1;
    }
  }

  Loop loop_;
  ServerImpl server_;
  std::vector<UnaryCall> waiting_;
  std::vector<HttpReply> pages_;
  int cancelled_ = 0;
};

std::string OneCall(fuzz::Input& input) {
  std::string bytes(fuzz::kH2Preface);
  fuzz::AppendH2Frame(bytes, fuzz::kSettings, 0, 0, "");
  fuzz::AppendH2Request(bytes, 1, input.Byte(), false);
  for (size_t piece = 1; !input.empty(); piece *= 3) {
    const std::string_view body = input.Bytes(piece);
    fuzz::AppendH2Frame(bytes, fuzz::kData, input.empty() ? fuzz::kEndStream : 0, 1, body);
  }
  return bytes;
}

std::string Instructions(fuzz::Input& input) {
  std::string bytes(fuzz::kH2Preface);
  fuzz::AppendH2Frame(bytes, fuzz::kSettings, 0, 0, "");
  while (!input.empty()) fuzz::AppendH2Instruction(bytes, input);
  return bytes;
}

void Parsers(fuzz::Input& input, size_t piece) {
  const bool gzip = (input.Byte() & 1) != 0;
  const std::string_view text = input.Rest();
  const auto timeout = ParseGrpcTimeout(text);
  QUORATE_CHECK(!timeout || *timeout >= 0);
  const std::string encoded = EncodeGrpcMessage(text);
  QUORATE_CHECK(PercentDecode(encoded, false) == std::string(text));
  static_cast<void>(GoQuote(text));
  HttpRequest request;
  request.SetTarget(text);
  static_cast<void>(request.query_values("v"));
  std::string out;
  static_cast<void>(Gunzip(text, kMessageBytesMax, &out));
  QUORATE_CHECK(out.size() <= kMessageBytesMax);

  MessageReader reader;
  reader.Reset(gzip);
  std::string scratch;
  for (size_t at = 0; at < text.size();) {
    std::string_view part = text.substr(at, piece == 0 ? text.size() : piece);
    at += part.size();
    for (;;) {
      std::string_view message;
      const auto result = reader.Next(&part, kMessageBytesMax, &scratch, &message);
      if (result == MessageReader::Result::kError) return;
      if (result == MessageReader::Result::kNeedMore) break;
      QUORATE_CHECK(message.size() <= kMessageBytesMax);
    }
  }
}

void Run(fuzz::Input input) {
  const uint8_t flags = input.Byte();
  const uint8_t mode = flags % 4;
  const uint8_t shape = input.Byte();
  Manners manners;
  manners.piece = shape & 0x7f;
  manners.half_close = (shape & 0x80) != 0;
  manners.leave_early = (flags & 4) != 0;
  manners.drain = (flags & 8) != 0;
  if (mode == 3) return Parsers(input, manners.piece);
  const std::string bytes = mode == 0   ? std::string(input.Rest())
                            : mode == 1 ? Instructions(input)
                                        : OneCall(input);
  if (manners.drain) {
    Harness().Converse(bytes, manners);
    return;
  }
  // Never destroyed: a server's making costs more than a conversation.
  static Harness* const harness = new Harness;
  harness->Converse(bytes, manners);
}

}  // namespace
}  // namespace quorate::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::KeepQuiet();
  quorate::net::Run({data, size});
  return 0;
}
