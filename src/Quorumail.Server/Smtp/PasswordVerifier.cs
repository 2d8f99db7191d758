using System.Security.Cryptography;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp.Authentication;

namespace Quorumail.Server.Smtp;

/// <summary>
/// Checks passwords. A check costs tens of milliseconds of a core, so that few run at once, on the thread pool and never
/// on a connection's loop. An unknown name costs as much as a known one.
/// </summary>
public sealed class PasswordVerifier : IDisposable
{
    private readonly RecipientDirectory _directory;
    private readonly SemaphoreSlim _slots = new(Math.Max(1, Environment.ProcessorCount / 2));
    private readonly byte[] _secret = RandomNumberGenerator.GetBytes(32);

    public PasswordVerifier(RecipientDirectory directory) => _directory = directory;

    /// <summary>The hash of a user; for an unknown one a decoy that no password fits.</summary>
    public PasswordHash HashOf(string user) => _directory.FindHash(user) ?? PasswordHash.CreateDecoy(user, _secret, _directory.UsualIterations);

    /// <summary>A new nonce for SCRAM: 24 characters.</summary>
    public static byte[] NewNonce() => System.Text.Encoding.ASCII.GetBytes(Convert.ToBase64String(RandomNumberGenerator.GetBytes(18)));

    /// <summary>Whether the password is the user's. Waits for a free slot.</summary>
    public async Task<bool> VerifyAsync(string user, string password, CancellationToken token)
    {
        await _slots.WaitAsync(token);
        try
        {
            var hash = HashOf(user);
            return await Task.Run(() => hash.Verify(password), token);
        }
        finally
        {
            _slots.Release();
        }
    }

    public void Dispose() => _slots.Dispose();
}
