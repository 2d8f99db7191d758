using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Quorumail.Core.Smtp;

namespace Quorumail.Core.Cluster;

/// <summary>
/// One side of the handshake of port 9000. The two show one another that they hold the same token, without sending it:
/// <code>
/// dialling node                      listening node
/// Hello(who, nonce)             →
///                               ←    Challenge(who, nonce)
/// Proof(HMAC for each token)    →                            the listening node knows the dialling one and judges it
///                               ←    Accept(HMAC)            the dialling node knows the listening one and judges it
/// Accept                        →                            open on both sides
/// </code>
/// Each proof is HMAC-SHA256, keyed by the token, over the prover's side, both introductions with their nonces, and what
/// identifies the TLS channel. So no proof serves in another connection, another direction, or through a go-between
/// with another certificate. Whoever dials proves first: a stranger learns nothing that depends on the token. A node
/// may hold two tokens, so that tokens can be changed node by node. Either side may say Refuse at any point.
/// </summary>
public sealed class Handshake
{
    /// <summary>Tokens that are valid at once, at most.</summary>
    public const int TokensMax = 2;

    private const int ProofSize = HMACSHA256.HashSizeInBytes;
    private const int RefusalTextMax = 200;

    private readonly bool _isDialling;
    private readonly PeerIntroduction _self;
    private readonly IReadOnlyList<string> _tokens;
    private readonly byte[] _channel;
    private readonly byte[] _introduction;
    private byte[] _transcript = [];
    private string? _commonToken;
    private Expected _expected;
    private int _received;

    private Handshake(bool isDialling, PeerIntroduction self, IReadOnlyList<string> tokens, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> channel)
    {
        ArgumentNullException.ThrowIfNull(self);
        ArgumentNullException.ThrowIfNull(tokens);
        Invariant.Check(tokens.Count <= TokensMax && tokens.All(token => token.Length > 0), "a node holds at most two tokens, and none is empty");
        _isDialling = isDialling;
        _self = self with { IsAuthenticating = tokens.Count > 0 };
        _tokens = tokens;
        _channel = channel.ToArray();
        _introduction = _self.Write(nonce);
        _expected = isDialling ? Expected.Challenge : Expected.Hello;
    }

    private enum Expected
    {
        Hello,
        Challenge,
        Proof,
        Accept,
        Nothing,
    }

    /// <summary>What the peer says of itself: known from its first frame, true from <see cref="HandshakeStepKind.Judge"/> on.</summary>
    public PeerIntroduction? Peer { get; private set; }

    /// <summary>The side that dials; send <see cref="HelloFrame"/> first.</summary>
    /// <param name="self">Who this node is, and the connection's purpose.</param>
    /// <param name="tokens">At most two; none if the cluster does not authenticate.</param>
    /// <param name="nonce">Random bytes, used for nothing else.</param>
    /// <param name="channel">SHA-256 of the listening node's certificate (after tls-server-end-point, RFC 5929); empty without TLS.</param>
    public static Handshake Dial(PeerIntroduction self, IReadOnlyList<string> tokens, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> channel) =>
        new(isDialling: true, self, tokens, nonce, channel);

    /// <summary>The side that listens. The parameters are those of <see cref="Dial"/>; the purpose is the dialling node's.</summary>
    public static Handshake Listen(PeerIntroduction self, IReadOnlyList<string> tokens, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> channel) =>
        new(isDialling: false, self, tokens, nonce, channel);

    /// <summary>The dialling side's first frame.</summary>
    public ReadOnlyMemory<byte> HelloFrame() => FrameCodec.Write(FrameType.Hello, _introduction);

    /// <summary>A frame that says why a connection is not opened: also for whoever has no handshake.</summary>
    public static byte[] RefuseFrame(RefusalReason reason, string text) =>
        FrameCodec.Write(FrameType.Refuse, [(byte)reason, .. Encoding.ASCII.GetBytes(Printable.Ascii(text, RefusalTextMax))]);

    /// <summary>Reads the body of a <see cref="FrameType.Refuse"/>, which anybody may have sent.</summary>
    public static HandshakeStep ReadRefusal(ReadOnlySpan<byte> body)
    {
        var reason = body.IsEmpty || !Enum.IsDefined((RefusalReason)body[0]) ? RefusalReason.Unknown : (RefusalReason)body[0];
        var text = body.Length < 2 ? "without a word" : Printable.Ascii(body[1..], RefusalTextMax);
        return new HandshakeStep(HandshakeStepKind.Refused, default, reason, text);
    }

    /// <summary>Takes a frame of the peer.</summary>
    public HandshakeStep Next(FrameType type, ReadOnlySpan<byte> body)
    {
        _received += FrameLimits.HeaderSize + body.Length;
        if (_received > FrameLimits.HandshakeMax)
        {
            return Refuse(RefusalReason.Malformed, "its handshake is too long");
        }

        return (type, _expected) switch
        {
            (FrameType.Refuse, not Expected.Nothing) => ReadRefusal(body),
            (FrameType.Hello, Expected.Hello) => Introduced(body),
            (FrameType.Challenge, Expected.Challenge) => Introduced(body),
            (FrameType.Proof, Expected.Proof) => Proven(body),
            (FrameType.Accept, Expected.Accept) => Accepted(body),
            _ => Refuse(RefusalReason.Malformed, $"a frame of type {(byte)type} has no place here"),
        };
    }

    /// <summary>After <see cref="HandshakeStepKind.Judge"/>: the peer is welcome.</summary>
    public HandshakeStep Admit()
    {
        if (_isDialling)
        {
            _expected = Expected.Nothing;
            return new HandshakeStep(HandshakeStepKind.Open, FrameCodec.Write(FrameType.Accept, []));
        }

        _expected = Expected.Accept;
        ReadOnlySpan<byte> proof = _commonToken is { } token ? Prove(token, isDialling: false) : [];
        return new HandshakeStep(HandshakeStepKind.Send, FrameCodec.Write(FrameType.Accept, proof));
    }

    /// <summary>At any point: the peer is not welcome.</summary>
    public HandshakeStep Refuse(RefusalReason reason, string text)
    {
        _expected = Expected.Nothing;
        return new HandshakeStep(HandshakeStepKind.Refuse, RefuseFrame(reason, text), reason, Printable.Ascii(text, RefusalTextMax));
    }

    private HandshakeStep Introduced(ReadOnlySpan<byte> body)
    {
        Peer = PeerIntroduction.Read(body, out var reason, out var problem);
        if (Peer is null)
        {
            return Refuse(reason, problem);
        }

        if (Peer.IsAuthenticating != _self.IsAuthenticating)
        {
            var (with, without) = _self.IsAuthenticating ? (_self.NodeId, Peer.NodeId) : (Peer.NodeId, _self.NodeId);
            return Refuse(RefusalReason.AuthenticationMismatch, $"{with} authenticates (auth_enabled), {without} does not");
        }

        if (_isDialling)
        {
            if (Peer.Purpose != _self.Purpose)
            {
                return Refuse(RefusalReason.Malformed, "it opens another connection than it was asked for");
            }

            _transcript = Transcript(_introduction, body);
            _expected = Expected.Accept;
            return new HandshakeStep(HandshakeStepKind.Send, FrameCodec.Write(FrameType.Proof, Proofs()));
        }

        _introduction[2] = (byte)Peer.Purpose;
        _transcript = Transcript(body, _introduction);
        _expected = Expected.Proof;
        return new HandshakeStep(HandshakeStepKind.Send, FrameCodec.Write(FrameType.Challenge, _introduction));
    }

    private HandshakeStep Proven(ReadOnlySpan<byte> body)
    {
        if (!_self.IsAuthenticating)
        {
            return body.IsEmpty ? Judge() : Refuse(RefusalReason.Malformed, "it proves what was not asked");
        }

        if (body.IsEmpty || body.Length % ProofSize != 0 || body.Length > TokensMax * ProofSize)
        {
            return Refuse(RefusalReason.Malformed, "its proof is not one");
        }

        for (var rest = body; !rest.IsEmpty; rest = rest[ProofSize..])
        {
            _commonToken ??= TokenOf(rest[..ProofSize], isDialling: true);
        }

        return _commonToken is null ? WrongToken() : Judge();
    }

    private HandshakeStep Accepted(ReadOnlySpan<byte> body)
    {
        if (!_isDialling)
        {
            _expected = Expected.Nothing;
            return new HandshakeStep(HandshakeStepKind.Open, default);
        }

        if (_self.IsAuthenticating && (body.Length != ProofSize || TokenOf(body, isDialling: false) is null))
        {
            return WrongToken();
        }

        return Judge();
    }

    private HandshakeStep Judge()
    {
        _expected = Expected.Nothing;
        return new HandshakeStep(HandshakeStepKind.Judge, default);
    }

    private HandshakeStep WrongToken() => Refuse(RefusalReason.Token, $"the token of {Peer!.NodeId} is not that of {_self.NodeId} (auth_token)");

    private string? TokenOf(ReadOnlySpan<byte> proof, bool isDialling)
    {
        string? found = null;
        foreach (var token in _tokens)
        {
            if (CryptographicOperations.FixedTimeEquals(proof, Prove(token, isDialling)))
            {
                found ??= token;
            }
        }

        return found;
    }

    private byte[] Proofs()
    {
        var proofs = new byte[_tokens.Count * ProofSize];
        for (var i = 0; i < _tokens.Count; i++)
        {
            Prove(_tokens[i], isDialling: true).CopyTo(proofs, i * ProofSize);
        }

        return proofs;
    }

    private byte[] Prove(string token, bool isDialling)
    {
        using var hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(token));
        hash.AppendData(isDialling ? "quorumail dialling node\0"u8 : "quorumail listening node\0"u8);
        hash.AppendData(_transcript);
        return hash.GetHashAndReset();
    }

    private byte[] Transcript(ReadOnlySpan<byte> dialling, ReadOnlySpan<byte> listening)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, _channel);
        Append(hash, dialling);
        Append(hash, listening);
        return hash.GetHashAndReset();
    }

    private static void Append(IncrementalHash hash, ReadOnlySpan<byte> part)
    {
        Span<byte> length = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(length, part.Length);
        hash.AppendData(length);
        hash.AppendData(part);
    }
}
