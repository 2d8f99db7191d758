using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Quorumail.Core.Smtp.Authentication;

/// <summary>
/// What is kept of a password: the SCRAM verifier of RFC 5802, which serves PLAIN, LOGIN and SCRAM-SHA-256 alike and gives
/// the password away to nobody who reads it. Written form: <c>scram-sha-256$iterations$salt$stored-key$server-key</c>, the
/// last three in base64.
/// </summary>
public sealed class PasswordHash
{
    /// <summary>Iterations of a new hash: about 30 ms of one core.</summary>
    public const int DefaultIterations = 100_000;

    /// <summary>Fewest iterations accepted (RFC 7677 section 4).</summary>
    public const int IterationsMin = 4096;

    /// <summary>Most iterations accepted, so that a configuration can't stall the server.</summary>
    public const int IterationsMax = 5_000_000;

    /// <summary>Octets of a new salt.</summary>
    public const int SaltLength = 16;

    /// <summary>Octets of a password (RFC 4954 bounds the line; we bound the work).</summary>
    public const int PasswordMax = 1024;

    private const string Scheme = "scram-sha-256";
    private readonly byte[] _salt;
    private readonly byte[] _storedKey;
    private readonly byte[] _serverKey;

    private PasswordHash(int iterations, byte[] salt, byte[] storedKey, byte[] serverKey)
    {
        Iterations = iterations;
        _salt = salt;
        _storedKey = storedKey;
        _serverKey = serverKey;
    }

    /// <summary>PBKDF2 iterations.</summary>
    public int Iterations { get; }

    /// <summary>The salt, sent to the client by SCRAM.</summary>
    public ReadOnlySpan<byte> Salt => _salt;

    /// <summary>SHA-256 of the client key.</summary>
    public ReadOnlySpan<byte> StoredKey => _storedKey;

    /// <summary>Proves to the client that the server knows the verifier.</summary>
    public ReadOnlySpan<byte> ServerKey => _serverKey;

    /// <summary>Makes the hash of a password. Costs <paramref name="iterations"/> rounds of HMAC-SHA-256.</summary>
    /// <param name="password">Compared octet by octet as UTF-8: no normalisation takes place.</param>
    /// <param name="salt">Random, at least 8 octets.</param>
    /// <param name="iterations">4096 to 5 000 000.</param>
    public static PasswordHash Create(string password, ReadOnlySpan<byte> salt, int iterations = DefaultIterations)
    {
        ArgumentException.ThrowIfNullOrEmpty(password);
        ArgumentOutOfRangeException.ThrowIfLessThan(salt.Length, 8, nameof(salt));
        ArgumentOutOfRangeException.ThrowIfLessThan(iterations, IterationsMin);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(iterations, IterationsMax);
        var salted = Salted(password, salt, iterations);
        return new PasswordHash(iterations, salt.ToArray(), ToStoredKey(salted), HMACSHA256.HashData(salted, "Server Key"u8));
    }

    /// <summary>
    /// A hash that no password fits, the same each time for one name: a client can't tell an unknown name from a known one by
    /// the salt, nor by the time that an answer takes.
    /// </summary>
    public static PasswordHash CreateDecoy(string name, ReadOnlySpan<byte> secret, int iterations = DefaultIterations)
    {
        ArgumentNullException.ThrowIfNull(name);
        var seed = HMACSHA256.HashData(secret, Encoding.UTF8.GetBytes(name));
        return new PasswordHash(iterations, seed[..SaltLength], HMACSHA256.HashData(seed, "stored"u8), HMACSHA256.HashData(seed, "server"u8));
    }

    /// <summary>Reads the written form.</summary>
    public static bool TryParse(string? text, out PasswordHash? hash)
    {
        hash = null;
        if (text?.Split('$') is not [Scheme, var count, var salt, var stored, var server]
            || !int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out var iterations)
            || iterations is < IterationsMin or > IterationsMax
            || !TryDecode(salt, out var saltOctets) || saltOctets.Length is < 8 or > 128
            || !TryDecode(stored, out var storedKey) || storedKey.Length != SHA256.HashSizeInBytes
            || !TryDecode(server, out var serverKey) || serverKey.Length != SHA256.HashSizeInBytes)
        {
            return false;
        }

        hash = new PasswordHash(iterations, saltOctets, storedKey, serverKey);
        return true;
    }

    /// <summary>Whether the password fits. Costs <see cref="Iterations"/> rounds, whatever the answer.</summary>
    public bool Verify(string password)
    {
        ArgumentNullException.ThrowIfNull(password);
        return CryptographicOperations.FixedTimeEquals(ToStoredKey(Salted(password, _salt, Iterations)), _storedKey);
    }

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Scheme}${Iterations}${Convert.ToBase64String(_salt)}${Convert.ToBase64String(_storedKey)}${Convert.ToBase64String(_serverKey)}");

    private static byte[] Salted(string password, ReadOnlySpan<byte> salt, int iterations) =>
        Rfc2898DeriveBytes.Pbkdf2(password, salt, iterations, HashAlgorithmName.SHA256, SHA256.HashSizeInBytes);

    private static byte[] ToStoredKey(byte[] salted) => SHA256.HashData(HMACSHA256.HashData(salted, "Client Key"u8));

    private static bool TryDecode(string text, out byte[] octets)
    {
        octets = [];
        if (!Base64.IsValid(text, out var length))
        {
            return false;
        }

        octets = new byte[length];
        return Convert.TryFromBase64String(text, octets, out var written) && written == length;
    }
}
