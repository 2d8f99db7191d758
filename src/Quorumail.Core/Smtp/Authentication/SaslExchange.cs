using System.Buffers;
using System.Buffers.Text;
using System.Text;

namespace Quorumail.Core.Smtp.Authentication;

/// <summary>What an authentication exchange asks for next.</summary>
internal enum SaslState
{
    /// <summary>Send <see cref="SaslExchange.Challenge"/> and read a response.</summary>
    Challenge,

    /// <summary>Check <see cref="SaslExchange.UserName"/> and <see cref="SaslExchange.Password"/>.</summary>
    NeedsVerification,

    /// <summary>Look up <see cref="SaslExchange.UserName"/> and call <see cref="SaslExchange.UseHash"/>.</summary>
    NeedsHash,

    /// <summary>The client has proved to be the user.</summary>
    Accepted,

    /// <summary>It has not.</summary>
    Rejected,

    /// <summary>The response wasn't base64.</summary>
    Malformed,
}

/// <summary>One authentication (RFC 4954) with PLAIN (RFC 4616), LOGIN, or SCRAM-SHA-256. Responses come decoded from base64.</summary>
internal sealed class SaslExchange
{
    private readonly Mechanism _mechanism;
    private readonly ScramExchange? _scram;
    private byte[] _challenge = [];
    private int _responses;

    private SaslExchange(Mechanism mechanism)
    {
        _mechanism = mechanism;
        _scram = mechanism == Mechanism.Scram ? new ScramExchange() : null;
    }

    private enum Mechanism
    {
        Plain,
        Login,
        Scram,
    }

    /// <summary>The name that the client claims.</summary>
    public string UserName { get; private set; } = string.Empty;

    /// <summary>The password that the client sent; not for SCRAM.</summary>
    public string Password { get; private set; } = string.Empty;

    /// <summary>What to send, before base64.</summary>
    public ReadOnlySpan<byte> Challenge => _challenge;

    /// <summary>Begins an exchange, or returns null for an unknown mechanism.</summary>
    public static SaslExchange? Begin(ReadOnlySpan<byte> name) => name switch
    {
        _ when Ascii.EqualsIgnoreCase(name, "PLAIN"u8) => new SaslExchange(Mechanism.Plain),
        _ when Ascii.EqualsIgnoreCase(name, "LOGIN"u8) => new SaslExchange(Mechanism.Login) { _challenge = "Username:"u8.ToArray() },
        _ when Ascii.EqualsIgnoreCase(name, "SCRAM-SHA-256"u8) => new SaslExchange(Mechanism.Scram),
        _ => null,
    };

    /// <summary>Takes the client's next response, or its initial one, in base64.</summary>
    public SaslState RespondEncoded(ReadOnlySpan<byte> encoded)
    {
        // The decoder would skip white space, which no response has.
        if (!Base64.IsValid(encoded, out var length) || encoded.ContainsAny(" \t"u8))
        {
            return SaslState.Malformed;
        }

        var response = new byte[length];
        return Base64.DecodeFromUtf8(encoded, response, out _, out _) == OperationStatus.Done ? Respond(response) : SaslState.Malformed;
    }

    /// <summary>Takes the client's next response, or its initial one, decoded.</summary>
    public SaslState Respond(ReadOnlySpan<byte> response)
    {
        _responses++;
        return _mechanism switch
        {
            Mechanism.Plain => Plain(response),
            Mechanism.Login => Login(response),
            _ => Scram(response),
        };
    }

    /// <summary>Answers <see cref="SaslState.NeedsHash"/>.</summary>
    public SaslState UseHash(PasswordHash hash, ReadOnlySpan<byte> serverNonce)
    {
        Invariant.Check(_scram is not null, "only SCRAM asks for a hash");
        _challenge = _scram.Challenge(hash, serverNonce).ToArray();
        return SaslState.Challenge;
    }

    private SaslState Plain(ReadOnlySpan<byte> response)
    {
        var first = response.IndexOf((byte)0);
        var second = first < 0 ? -1 : response[(first + 1)..].IndexOf((byte)0);
        if (second < 0)
        {
            return SaslState.Rejected;
        }

        var identity = response[..first];
        var name = response.Slice(first + 1, second);
        var mayAct = identity.IsEmpty || identity.SequenceEqual(name);
        return Read(name, response[(first + second + 2)..]) && mayAct ? SaslState.NeedsVerification : SaslState.Rejected;
    }

    private SaslState Login(ReadOnlySpan<byte> response)
    {
        if (_responses == 1)
        {
            _challenge = "Password:"u8.ToArray();
            return TryGetText(response, out var name) && (UserName = name).Length > 0 ? SaslState.Challenge : SaslState.Rejected;
        }

        return TryGetText(response, out var password) && (Password = password).Length > 0
            ? SaslState.NeedsVerification
            : SaslState.Rejected;
    }

    private SaslState Scram(ReadOnlySpan<byte> response)
    {
        Invariant.Check(_scram is not null, "a SCRAM exchange has its state");
        switch (_responses)
        {
            case 1:
                if (!_scram.TryReadFirst(response))
                {
                    return SaslState.Rejected;
                }

                UserName = _scram.UserName;
                return SaslState.NeedsHash;
            case 2:
                if (_scram.Finish(response) is not { } final)
                {
                    return SaslState.Rejected;
                }

                _challenge = final;
                return SaslState.Challenge;
            default:
                return response.IsEmpty ? SaslState.Accepted : SaslState.Rejected;
        }
    }

    private bool Read(ReadOnlySpan<byte> name, ReadOnlySpan<byte> password)
    {
        if (!TryGetText(name, out var nameText) || !TryGetText(password, out var passwordText))
        {
            return false;
        }

        UserName = nameText;
        Password = passwordText;
        return nameText.Length > 0 && passwordText.Length > 0;
    }

    private static bool TryGetText(ReadOnlySpan<byte> octets, out string text)
    {
        text = string.Empty;
        if (octets.Length > PasswordHash.PasswordMax || octets.Contains((byte)0) || !System.Text.Unicode.Utf8.IsValid(octets))
        {
            return false;
        }

        text = Encoding.UTF8.GetString(octets);
        return true;
    }
}
