// TLS between a connection and its socket. OpenSSL sees memory only: a read takes from the socket once,
// whatever number of records that brings, and a write seals all it is given and hands it to the socket at
// once. Buffers are the thread's; an idle connection holds none.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "net/byte_queue.h"
#include "net/descriptor.h"
#include "net/tls_certificate.h"
#include "net/tls_context.h"
#include "net/tls_verify.h"

namespace quorate::net {

// Of one thread at a time. Shake() until it is done; Read and Write only then.
class TlsStream final : public ByteStream {
 public:
  enum class Progress { kDone, kAgain, kFailed };

  static std::unique_ptr<TlsStream> Server(TlsSession session);
  // `host` is a name or an address: the server's certificate must be valid for it, and a name is sent as SNI.
  static std::unique_ptr<TlsStream> Client(TlsSession session, const std::string& host);
  ~TlsStream() override;
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Where the sealed bytes go; not owned. May change between calls.
  void set_below(ByteStream* below) { below_ = below; }

  // A step of the handshake, with what the socket has. kAgain: wait until it is readable, and writable too if
  // Flush() is false.
  Progress Shake();
  // Why it failed, in Go's words where it has them.
  const std::string& failure() const { return check_.failure; }
  // It failed because the other closed.
  bool ended() const { return ended_; }
  // It failed because the other speaks HTTP in clear text.
  bool SawPlainHttp() const;

  // Bytes decrypted, 0 after close_notify, kWouldBlock, or kBroken: also an end without close_notify, which
  // anybody in between could make.
  ssize_t Read(char* out, size_t size) override;
  // All of it, or kWouldBlock while earlier bytes wait for the socket; bytes taken may still wait: see
  // Flush().
  ssize_t Write(const char* data, size_t size) override;
  bool Flush() override;
  bool HasPending() const override;
  // Sealed, and not yet taken by the socket.
  size_t unsent_bytes() const { return unsent_.size(); }
  // close_notify, then the end of the stream below.
  bool CloseWrite() override;
  // close_notify alone, as far as the socket takes it.
  void SayGoodbye();

  // Whether the other has shown a certificate; it was verified then, unless the context skips that.
  bool has_peer_certificate() const;
  CertificateNames peer_names() const;
  // What the client asked for in SNI; may be empty.
  std::string server_name() const;
  // For what else there is to see of it.
  const SSL* ssl() const { return ssl_.get(); }

 private:
  explicit TlsStream(TlsSession session);
  static const BIO_METHOD* Method();
  static int BioRead(BIO* bio, char* out, size_t size, size_t* done);
  static int BioWrite(BIO* bio, const char* data, size_t size, size_t* done);
  static long BioControl(BIO* bio, int command, long number, void* pointer);

  // From the socket to `input_`: bytes, or what Read says of none.
  ssize_t Receive(size_t limit);
  void NoteFirstBytes();
  Progress FailHandshake(std::string why);
  // Hands what OpenSSL has sealed to the socket, or keeps it.
  void Send();

  // Sealed bytes that wait for the socket while we only read: the other asks for more than it takes.
  static constexpr size_t kUnsentMax = 1024 * 1024;

  SslPtr ssl_;
  std::shared_ptr<const TlsPolicy> policy_;
  TlsPeerCheck check_;
  ByteStream* below_ = nullptr;
  std::string_view input_;  // Within a call: what OpenSSL has yet to take.
  std::string carry_;       // The rest of it between calls.
  ByteQueue unsent_;
  std::array<char, 5> first_bytes_{};
  uint8_t first_count_ = 0;
  bool shaken_ = false;
  bool ended_ = false;   // The handshake's end of input.
  bool closed_ = false;  // close_notify came.
  bool broken_ = false;
  bool reported_ = false;  // Read has told of one of these.
};

}  // namespace quorate::net
