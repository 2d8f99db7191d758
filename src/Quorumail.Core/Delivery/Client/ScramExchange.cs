using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Quorumail.Core.Delivery.Client;

/// <summary>
/// The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding. Names and passwords are sent as UTF-8 as
/// they stand: SASLprep changes nothing in ASCII.
/// </summary>
public sealed class ScramExchange(ClientCredentials credentials, string nonce, int iterationsMax)
{
    private const string Header = "n,,";
    private readonly string _firstBare = "n="
        + credentials.UserName.Replace("=", "=3D", StringComparison.Ordinal).Replace(",", "=2C", StringComparison.Ordinal)
        + ",r=" + nonce;

    private byte[]? _serverSignature;

    /// <summary>client-first-message.</summary>
    public string First => Header + _firstBare;

    /// <summary>client-final-message for the server's first one, or null if that one is not to be trusted.</summary>
    public string? Final(string serverFirst)
    {
        ArgumentNullException.ThrowIfNull(serverFirst);
        var parts = serverFirst.Split(',');
        if (parts.Length < 3
            || !parts[0].StartsWith("r=" + nonce, StringComparison.Ordinal)
            || parts[0].Length == nonce.Length + 2
            || !parts[1].StartsWith("s=", StringComparison.Ordinal)
            || !parts[2].StartsWith("i=", StringComparison.Ordinal)
            || !TryReadBase64(parts[1][2..], out var salt)
            || !int.TryParse(parts[2].AsSpan(2), NumberStyles.None, CultureInfo.InvariantCulture, out var iterations)
            || iterations < 1
            || iterations > iterationsMax)
        {
            return null;
        }

        var withoutProof = "c=biws," + parts[0];
        var salted = Rfc2898DeriveBytes.Pbkdf2(
            Encoding.UTF8.GetBytes(credentials.Password), salt, iterations, HashAlgorithmName.SHA256, 32);
        var authMessage = Encoding.UTF8.GetBytes($"{_firstBare},{serverFirst},{withoutProof}");
        var clientKey = HMACSHA256.HashData(salted, "Client Key"u8);
        var proof = HMACSHA256.HashData(SHA256.HashData(clientKey), authMessage);
        for (var i = 0; i < proof.Length; i++)
        {
            proof[i] ^= clientKey[i];
        }

        _serverSignature = HMACSHA256.HashData(HMACSHA256.HashData(salted, "Server Key"u8), authMessage);
        return withoutProof + ",p=" + Convert.ToBase64String(proof);
    }

    /// <summary>Whether the server's final message proves that it knows the password too.</summary>
    public bool Verify(string serverFinal)
    {
        ArgumentNullException.ThrowIfNull(serverFinal);
        return _serverSignature is not null
            && serverFinal.StartsWith("v=", StringComparison.Ordinal)
            && TryReadBase64(serverFinal.Split(',')[0][2..], out var signature)
            && CryptographicOperations.FixedTimeEquals(signature, _serverSignature);
    }

    private static bool TryReadBase64(string text, out byte[] bytes)
    {
        bytes = new byte[text.Length];
        if (!Convert.TryFromBase64String(text, bytes, out var length))
        {
            return false;
        }

        bytes = bytes[..length];
        return true;
    }
}
