using System.Text;

namespace Quorumail.Core.Delivery.Client;

/// <summary>One AUTH exchange (RFC 4954): the best mechanism that both sides have and that is safe on this connection.</summary>
internal sealed class ClientAuthentication
{
    private readonly ClientCredentials _credentials;
    private readonly ScramExchange? _scram;
    private readonly bool _isLogin;
    private int _round;
    private bool _serverProven;
    private bool _isCancelled;

    private ClientAuthentication(ClientCredentials credentials, string command, ScramExchange? scram, bool isLogin)
    {
        _credentials = credentials;
        Command = command;
        _scram = scram;
        _isLogin = isLogin;
    }

    /// <summary>The AUTH command, without its line end.</summary>
    public string Command { get; }

    /// <summary>Whether a positive reply may be believed: SCRAM's server has to prove itself first.</summary>
    public bool MaySucceed => _scram is null || _serverProven;

    /// <summary>Chooses a mechanism, or returns null if none will do.</summary>
    public static ClientAuthentication? Begin(
        ClientCredentials credentials, EhloCapabilities offered, bool clearAllowed, string nonce, SmtpClientLimits limits)
    {
        if (nonce.Length > 0 && offered.AuthMechanisms.Contains("SCRAM-SHA-256", StringComparer.Ordinal))
        {
            var scram = new ScramExchange(credentials, nonce, limits.ScramIterationsMax);
            return new(credentials, "AUTH SCRAM-SHA-256 " + Encode(scram.First), scram, isLogin: false);
        }

        if (!clearAllowed)
        {
            return null;
        }

        if (offered.AuthMechanisms.Contains("PLAIN", StringComparer.Ordinal))
        {
            var plain = "\0" + credentials.UserName + "\0" + credentials.Password;
            return new(credentials, "AUTH PLAIN " + Encode(plain), scram: null, isLogin: false);
        }

        return offered.AuthMechanisms.Contains("LOGIN", StringComparer.Ordinal)
            ? new(credentials, "AUTH LOGIN", scram: null, isLogin: true)
            : null;
    }

    /// <summary>The answer to a 334 challenge, or "*" to cancel; null if that was said before, so that no exchange goes on for ever.</summary>
    public string? Answer(SmtpReply challenge)
    {
        if (_isCancelled)
        {
            return null;
        }

        var answer = NextAnswer(challenge);
        _isCancelled = string.Equals(answer, "*", StringComparison.Ordinal);
        return answer;
    }

    /// <summary>RFC 4954 lets a server put SCRAM's last message into the 235 reply itself.</summary>
    public void ReadSuccess(SmtpReply reply)
    {
        if (_scram is not null && !_serverProven)
        {
            var words = reply.Lines[0].Split(' ');
            _serverProven = TryDecode(words[^1], out var text) && _scram.Verify(text);
        }
    }

    private string NextAnswer(SmtpReply challenge)
    {
        _round++;
        if (_isLogin)
        {
            return _round switch
            {
                1 => Encode(_credentials.UserName),
                2 => Encode(_credentials.Password),
                _ => "*",
            };
        }

        if (_scram is null || !TryDecode(challenge.Lines[0], out var text))
        {
            return "*";
        }

        switch (_round)
        {
            case 1:
                return _scram.Final(text) is { } final ? Encode(final) : "*";
            case 2:
                _serverProven = _scram.Verify(text);
                return _serverProven ? string.Empty : "*";
            default:
                return "*";
        }
    }

    private static string Encode(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));

    private static bool TryDecode(string text, out string decoded)
    {
        var bytes = new byte[text.Length];
        var isValid = Convert.TryFromBase64String(text, bytes, out var length);
        decoded = isValid ? Encoding.UTF8.GetString(bytes, 0, length) : string.Empty;
        return isValid;
    }
}
