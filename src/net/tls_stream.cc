#include "net/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace quorate::net {
namespace {

constexpr size_t kInputBytes = 256 * 1024;
// A record, and what a partly received one held before, decrypt to no more than this beyond what is received.
constexpr size_t kRecordBytesMax = 20 * 1024;
// Received at once in a handshake: what follows it is kept with the connection.
constexpr size_t kHandshakeBytes = 16 * 1024;
// Sealed by one Write.
constexpr size_t kWriteBytesMax = 512 * 1024;
constexpr size_t kSealedBytesKept = 2 * kWriteBytesMax;

// Of the thread, for the length of one call.
struct Buffers {
  std::unique_ptr<char[]> input{new char[kInputBytes]};
  ByteQueue sealed;
};

Buffers& ThreadBuffers() {
  static thread_local Buffers buffers;
  return buffers;
}

constexpr std::string_view kMethods[] = {"GET /", "HEAD ", "POST ", "PUT /",
                                         "OPTIO", "DELET", "PATCH", "PRI *"};

// OpenSSL's reasons in Go's words, for those that operators meet.
std::string HandshakeError() {
  const unsigned long error = ERR_peek_last_error();
  const int reason = ERR_GET_REASON(error);
  if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
    if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255) {
      ERR_clear_error();
      return std::string("remote error: tls: ") + SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET);
    }
    switch (reason) {
      case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        ERR_clear_error();
        return "tls: client didn't provide a certificate";
      case SSL_R_WRONG_VERSION_NUMBER:
      case SSL_R_HTTP_REQUEST:
        ERR_clear_error();
        return "tls: first record does not look like a TLS handshake";
      case SSL_R_UNSUPPORTED_PROTOCOL:
        ERR_clear_error();
        return "tls: client offered only unsupported versions";
      case SSL_R_NO_SHARED_CIPHER:
        ERR_clear_error();
        return "tls: no cipher suite supported by both client and server";
      default:
        break;
    }
  }
  return "tls: " + TlsErrorText();
}

}  // namespace

const BIO_METHOD* TlsStream::Method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "quorate stream");
    QUORATE_CHECK(m != nullptr);
    BIO_meth_set_read_ex(m, &TlsStream::BioRead);
    BIO_meth_set_write_ex(m, &TlsStream::BioWrite);
    BIO_meth_set_ctrl(m, &TlsStream::BioControl);
    return m;
  }();
  return method;
}

int TlsStream::BioRead(BIO* bio, char* out, size_t size, size_t* done) {
  auto* const self = static_cast<TlsStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (self->input_.empty()) {
    BIO_set_retry_read(bio);
    return 0;
  }
  *done = std::min(size, self->input_.size());
  std::memcpy(out, self->input_.data(), *done);
  self->input_.remove_prefix(*done);
  return 1;
}

int TlsStream::BioWrite(BIO* bio, const char* data, size_t size, size_t* done) {
  BIO_clear_retry_flags(bio);
  ThreadBuffers().sealed.Append({data, size});
  *done = size;
  return 1;
}

long TlsStream::BioControl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

TlsStream::TlsStream(TlsSession session) : ssl_(std::move(session.ssl)), policy_(std::move(session.policy)) {
  BIO* const bio = BIO_new(Method());
  QUORATE_CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  check_.policy = policy_.get();
  SSL_set_app_data(ssl_.get(), &check_);
}

TlsStream::~TlsStream() = default;

std::unique_ptr<TlsStream> TlsStream::Server(TlsSession session) {
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(session)));
  SSL_set_accept_state(stream->ssl_.get());
  return stream;
}

std::unique_ptr<TlsStream> TlsStream::Client(TlsSession session, const std::string& host) {
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(session)));
  SSL* const ssl = stream->ssl_.get();
  stream->check_.host = host;
  std::string name = host;
  while (name.ends_with('.')) name.pop_back();
  // Addresses are not sent as names (RFC 6066, 3).
  if (!name.empty() && CanonicalAddress(host).empty()) SSL_set_tlsext_host_name(ssl, name.c_str());
  SSL_set_connect_state(ssl);
  return stream;
}

ssize_t TlsStream::Receive(size_t limit) {
  char* const buffer = ThreadBuffers().input.get();
  const ssize_t n = below_->Read(buffer, std::min(limit, kInputBytes));
  if (n > 0) input_ = {buffer, static_cast<size_t>(n)};
  return n;
}

void TlsStream::NoteFirstBytes() {
  const size_t n = std::min(first_bytes_.size() - first_count_, input_.size());
  std::copy_n(input_.data(), n, first_bytes_.data() + first_count_);
  first_count_ = static_cast<uint8_t>(first_count_ + n);
}

bool TlsStream::SawPlainHttp() const {
  const std::string_view seen(first_bytes_.data(), first_count_);
  return std::find(std::begin(kMethods), std::end(kMethods), seen) != std::end(kMethods);
}

TlsStream::Progress TlsStream::FailHandshake(std::string why) {
  broken_ = true;
  if (check_.failure.empty()) check_.failure = std::move(why);
  return Progress::kFailed;
}

TlsStream::Progress TlsStream::Shake() {
  if (broken_) return Progress::kFailed;
  if (!Flush()) return Progress::kAgain;
  const std::string carried = std::exchange(carry_, {});
  input_ = carried;
  for (;;) {
    ERR_clear_error();
    const int rc = SSL_do_handshake(ssl_.get());
    if (rc == 1) {
      Send();
      carry_.assign(input_);
      input_ = {};
      shaken_ = true;
      return broken_ ? FailHandshake("write: broken pipe") : Progress::kDone;
    }
    if (SSL_get_error(ssl_.get(), rc) != SSL_ERROR_WANT_READ) {
      std::string why = HandshakeError();
      // An alert would only spoil the answer that an HTTP client can read.
      if (SawPlainHttp()) ThreadBuffers().sealed.Clear();
      Send();
      input_ = {};
      return FailHandshake(std::move(why));
    }
    Send();
    if (broken_) return FailHandshake("write: broken pipe");
    const ssize_t n = Receive(kHandshakeBytes);
    if (n == kWouldBlock) return Progress::kAgain;
    if (n <= 0) {
      ended_ = true;
      return FailHandshake(n == 0 ? "EOF" : "read: connection reset by peer");
    }
    NoteFirstBytes();
  }
}

ssize_t TlsStream::Read(char* out, size_t size) {
  std::string carried;
  if (!closed_ && !broken_) {
    if (carry_.empty() && SSL_pending(ssl_.get()) == 0) {
      const ssize_t n = Receive(size > 2 * kRecordBytesMax ? size - kRecordBytesMax : size);
      if (n == kWouldBlock) return n;
      if (n <= 0) broken_ = true;
    } else {
      carried = std::exchange(carry_, {});
      input_ = carried;
    }
  }
  size_t done = 0;
  while (done < size && !closed_ && !broken_) {
    ERR_clear_error();
    size_t n = 0;
    if (SSL_read_ex(ssl_.get(), out + done, size - done, &n) == 1) {
      done += n;
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), 0);
    if (error == SSL_ERROR_WANT_READ) break;
    closed_ = error == SSL_ERROR_ZERO_RETURN;
    broken_ = !closed_;
    if (broken_) Send();  // The alert that says why.
  }
  if (!broken_) Send();
  if (unsent_.size() > kUnsentMax) broken_ = true;
  if (!closed_ && !broken_) carry_.assign(input_);
  input_ = {};
  if (done > 0) return static_cast<ssize_t>(done);
  if (!closed_ && !broken_) return kWouldBlock;
  reported_ = true;
  return closed_ && !broken_ ? 0 : kBroken;
}

ssize_t TlsStream::Write(const char* data, size_t size) {
  if (!Flush()) return kWouldBlock;
  if (broken_) return kBroken;
  ERR_clear_error();
  size_t total = 0;
  // All of it at once: memory takes whatever is sealed.
  if (SSL_write_ex(ssl_.get(), data, std::min(size, kWriteBytesMax), &total) != 1) broken_ = true;
  Send();
  return broken_ ? kBroken : static_cast<ssize_t>(total);
}

void TlsStream::Send() {
  ByteQueue& sealed = ThreadBuffers().sealed;
  if (sealed.empty()) return;
  std::string_view rest = sealed.view();
  if (unsent_.empty()) {
    const ssize_t n = below_->Write(rest.data(), rest.size());
    if (n == kBroken) broken_ = true;
    if (n > 0) rest.remove_prefix(static_cast<size_t>(n));
  }
  if (!broken_) unsent_.Append(rest);
  sealed.Recycle(kSealedBytesKept);
}

bool TlsStream::Flush() {
  if (unsent_.empty() || broken_) return true;
  const ssize_t n = below_->Write(unsent_.data(), unsent_.size());
  if (n == kBroken) broken_ = true;
  if (n > 0) unsent_.Consume(static_cast<size_t>(n));
  if (!unsent_.empty() && !broken_) return false;
  unsent_.Recycle(0);
  return true;
}

// Once told, an end is not told again.
bool TlsStream::HasPending() const {
  if (closed_ || broken_) return !reported_;
  return !carry_.empty() || SSL_pending(ssl_.get()) > 0;
}

void TlsStream::SayGoodbye() {
  if (!shaken_ || broken_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  Send();
}

bool TlsStream::CloseWrite() {
  SayGoodbye();
  return below_->CloseWrite();
}

bool TlsStream::has_peer_certificate() const { return SSL_get0_peer_certificate(ssl_.get()) != nullptr; }

CertificateNames TlsStream::peer_names() const {
  const X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
  return certificate == nullptr ? CertificateNames() : NamesOf(certificate);
}

std::string TlsStream::server_name() const {
  const char* const name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string() : name;
}

}  // namespace quorate::net
