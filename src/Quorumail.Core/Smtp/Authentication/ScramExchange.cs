using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Quorumail.Core.Smtp.Authentication;

/// <summary>
/// The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding. Pure: the nonce is passed in.
/// </summary>
internal sealed class ScramExchange
{
    private const int NonceMax = 256;
    private byte[] _header = [];
    private byte[] _clientFirst = [];
    private byte[] _serverFirst = [];
    private byte[] _nonce = [];
    private PasswordHash? _hash;

    /// <summary>The name that the client gave; set by <see cref="TryReadFirst"/>.</summary>
    public string UserName { get; private set; } = string.Empty;

    /// <summary>Reads the client's first message; false if it isn't one, asks for channel binding, or for another identity.</summary>
    public bool TryReadFirst(ReadOnlySpan<byte> message)
    {
        // gs2-header: "n" or "y" (no channel binding), then an optional authorization identity.
        if (message.Length < 3 || message[0] is not ((byte)'n' or (byte)'y') || message[1] != ',')
        {
            return false;
        }

        var identityLength = message[2..].IndexOf((byte)',');
        if (identityLength < 0)
        {
            return false;
        }

        var identity = message.Slice(2, identityLength);
        var bare = message[(3 + identityLength)..];
        var comma = bare.IndexOf((byte)',');
        if (comma < 0 || !bare.StartsWith("n="u8) || !TryReadName(bare[2..comma], out var name))
        {
            return false;
        }

        var rest = bare[(comma + 1)..];
        var end = rest.IndexOf((byte)',');
        var nonce = end < 0 ? rest : rest[..end];
        if (!nonce.StartsWith("r="u8) || nonce.Length is < 3 or > NonceMax || nonce[2..].ContainsAnyExceptInRange((byte)0x21, (byte)0x7E))
        {
            return false;
        }

        if (identity.Length > 0
            && !(identity.StartsWith("a="u8) && TryReadName(identity[2..], out var other) && string.Equals(other, name, StringComparison.Ordinal)))
        {
            return false;
        }

        UserName = name;
        _header = message[..(3 + identityLength)].ToArray();
        _clientFirst = bare.ToArray();
        _nonce = nonce[2..].ToArray();
        return true;
    }

    /// <summary>Answers the first message.</summary>
    /// <param name="hash">The user's, or a decoy.</param>
    /// <param name="serverNonce">Random, printable ASCII without comma.</param>
    public ReadOnlySpan<byte> Challenge(PasswordHash hash, ReadOnlySpan<byte> serverNonce)
    {
        _hash = hash;
        _nonce = [.. _nonce, .. serverNonce];
        _serverFirst = Encoding.ASCII.GetBytes(
            $"r={Encoding.ASCII.GetString(_nonce)},s={Convert.ToBase64String(hash.Salt)},i={hash.Iterations}");
        return _serverFirst;
    }

    /// <summary>Checks the client's final message; gives the server's, or null if the proof doesn't fit.</summary>
    public byte[]? Finish(ReadOnlySpan<byte> message)
    {
        var proofAt = message.LastIndexOf(",p="u8);
        if (_hash is null || proofAt < 0)
        {
            return null;
        }

        var withoutProof = message[..proofAt];
        var expected = Encoding.ASCII.GetBytes($"c={Convert.ToBase64String(_header)},r={Encoding.ASCII.GetString(_nonce)}");

        // Extensions between nonce and proof are allowed by the grammar; we know none, so that what follows is ignored.
        if (!withoutProof.StartsWith(expected) || (withoutProof.Length > expected.Length && withoutProof[expected.Length] != ','))
        {
            return null;
        }

        Span<byte> proof = stackalloc byte[SHA256.HashSizeInBytes];
        var encoded = message[(proofAt + 3)..];
        if (!Base64.IsValid(encoded, out var length) || length != proof.Length
            || Base64.DecodeFromUtf8(encoded, proof, out _, out _) != System.Buffers.OperationStatus.Done)
        {
            return null;
        }

        byte[] exchange = [.. _clientFirst, (byte)',', .. _serverFirst, (byte)',', .. withoutProof];
        Span<byte> signature = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(_hash.StoredKey, exchange, signature);
        for (var i = 0; i < proof.Length; i++)
        {
            proof[i] ^= signature[i];
        }

        Span<byte> stored = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(proof, stored);
        if (!CryptographicOperations.FixedTimeEquals(stored, _hash.StoredKey))
        {
            return null;
        }

        HMACSHA256.HashData(_hash.ServerKey, exchange, signature);
        return Encoding.ASCII.GetBytes($"v={Convert.ToBase64String(signature)}");
    }

    /// <summary>A saslname: "=2C" is a comma, "=3D" an equals sign, nothing else may follow "=".</summary>
    private static bool TryReadName(ReadOnlySpan<byte> text, out string name)
    {
        name = string.Empty;
        if (text.IsEmpty || !System.Text.Unicode.Utf8.IsValid(text))
        {
            return false;
        }

        var raw = Encoding.UTF8.GetString(text);
        for (var at = raw.IndexOf('=', StringComparison.Ordinal); at >= 0; at = raw.IndexOf('=', at + 1))
        {
            if (at + 2 >= raw.Length || raw.AsSpan(at + 1, 2) is not ("2C" or "3D"))
            {
                return false;
            }
        }

        name = raw.Replace("=2C", ",", StringComparison.Ordinal).Replace("=3D", "=", StringComparison.Ordinal);
        return true;
    }
}
