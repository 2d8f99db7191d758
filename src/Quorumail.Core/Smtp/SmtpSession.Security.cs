using System.Buffers;
using Quorumail.Core.Smtp.Authentication;

namespace Quorumail.Core.Smtp;

/// <content>STARTTLS (RFC 3207) and AUTH (RFC 4954).</content>
public sealed partial class SmtpSession
{
    private const int LoggedNameMax = 256;

    private SaslExchange? _sasl;
    private string? _attemptedUser;
    private int _authenticationFailures;

    /// <summary>The name to be checked or looked up.</summary>
    public string ClaimedUser => _sasl?.UserName ?? string.Empty;

    /// <summary>
    /// Who has tried to log in, if the reply that was given last ends an attempt; otherwise null. Hostile text, at most 256 characters.
    /// </summary>
    public string? AttemptedUser => _attemptedUser switch
    {
        null or "" => null,
        { Length: <= LoggedNameMax } name => name,
        { } name => name[..(char.IsHighSurrogate(name[LoggedNameMax - 1]) ? LoggedNameMax - 1 : LoggedNameMax)],
    };

    /// <summary>The password to be checked.</summary>
    public string ClaimedPassword => _sasl?.Password ?? string.Empty;

    /// <summary>Answers <see cref="SmtpStepKind.StartTls"/>: nothing said before counts any more (RFC 3207 4.2).</summary>
    public SmtpStep TlsEstablished(ref ReadOnlySequence<byte> input)
    {
        Settle(SmtpStepKind.StartTls);
        HasTls = true;
        _hasHello = false;
        _isExtended = false;
        Helo = string.Empty;
        ClearTransaction();
        return Next(ref input);
    }

    /// <summary>Answers <see cref="SmtpStepKind.VerifyPassword"/>.</summary>
    public SmtpStep PasswordVerified(bool isCorrect)
    {
        Settle(SmtpStepKind.VerifyPassword);
        return isCorrect ? Accept() : Ask(SmtpStepKind.DelayRejection);
    }

    /// <summary>Answers <see cref="SmtpStepKind.DelayRejection"/>: the client has waited long enough.</summary>
    public SmtpStep RejectionDelayed()
    {
        Settle(SmtpStepKind.DelayRejection);
        return EndAuthentication(++_authenticationFailures >= Limits.AuthenticationFailuresMax
            ? SmtpReplies.TooManyAuthenticationFailures
            : SmtpReplies.AuthenticationFailed);
    }

    /// <summary>Answers <see cref="SmtpStepKind.FindHash"/>.</summary>
    /// <param name="hash">The user's, or a decoy.</param>
    /// <param name="serverNonce">Random, printable ASCII without comma.</param>
    public SmtpStep HashFound(PasswordHash hash, ReadOnlySpan<byte> serverNonce)
    {
        ArgumentNullException.ThrowIfNull(hash);
        Settle(SmtpStepKind.FindHash);
        Invariant.Check(_sasl is not null, "an authentication is under way");
        return Continue(_sasl.UseHash(hash, serverNonce));
    }

    private SmtpStep StartTls(ReadOnlySpan<byte> argument)
    {
        if (!_canStartTls && !HasTls)
        {
            return Reply(SmtpReplies.NotImplemented);
        }

        if (HasTls || _transaction is not null || User is not null)
        {
            return Reply(SmtpReplies.BadSequence);
        }

        if (!argument.IsEmpty)
        {
            return Reply(SmtpReplies.Syntax);
        }

        _owed = SmtpStepKind.StartTls;
        return new SmtpStep(SmtpStepKind.StartTls, SmtpReplies.StartTls.Wire);
    }

    private SmtpStep Authenticate(ReadOnlySpan<byte> argument, bool isFollowed)
    {
        Subject = ReplySubject.Authentication;
        if (!IsSubmission)
        {
            return Reply(SmtpReplies.NotImplemented);
        }

        if (!HasTls)
        {
            return Reply(SmtpReplies.EncryptionRequired);
        }

        if (!_isExtended || User is not null || _transaction is not null)
        {
            return Reply(SmtpReplies.BadSequence);
        }

        if (isFollowed)
        {
            return Close(SmtpReplies.NotSynchronized);
        }

        var space = argument.IndexOf((byte)' ');
        _sasl = SaslExchange.Begin(space < 0 ? argument : argument[..space]);
        if (_sasl is null)
        {
            return Reply(argument.IsEmpty ? SmtpReplies.Syntax : SmtpReplies.UnknownMechanism);
        }

        if (space < 0)
        {
            return Continue(SaslState.Challenge);
        }

        var initial = argument[(space + 1)..];
        return Respond(initial.SequenceEqual("="u8) ? default : initial);
    }

    private SmtpStep NextResponse(ref ReadOnlySequence<byte> input)
    {
        switch (_parser.ReadLine(ref input, Limits.AuthenticationLineMax, out var line))
        {
            case SmtpLine.NeedInput:
                return new SmtpStep(SmtpStepKind.NeedInput);
            case SmtpLine.Complete when line.SequenceEqual("*"u8):
                return EndAuthentication(SmtpReplies.AuthenticationCancelled);
            case SmtpLine.Complete:
                return Respond(line);
            case SmtpLine.Endless:
                return Close(SmtpReplies.LineTooLong);
            default:
                return EndAuthentication(SmtpReplies.BadBase64);
        }
    }

    private SmtpStep Respond(ReadOnlySpan<byte> encoded)
    {
        Invariant.Check(_sasl is not null, "an authentication is under way");
        return Continue(_sasl.RespondEncoded(encoded));
    }

    private SmtpStep Continue(SaslState state)
    {
        Invariant.Check(_sasl is not null, "an authentication is under way");
        switch (state)
        {
            case SaslState.Challenge:
                _mode = Mode.AuthenticationResponse;
                return Text($"334 {Convert.ToBase64String(_sasl.Challenge)}\r\n");
            case SaslState.NeedsVerification:
                return Ask(SmtpStepKind.VerifyPassword);
            case SaslState.NeedsHash:
                return Ask(SmtpStepKind.FindHash);
            case SaslState.Accepted:
                return Accept();
            case SaslState.Malformed:
                return EndAuthentication(SmtpReplies.BadBase64);
            default:
                return Ask(SmtpStepKind.DelayRejection);
        }
    }

    private SmtpStep Accept()
    {
        User = ClaimedUser;
        return EndAuthentication(SmtpReplies.Authenticated);
    }

    private SmtpStep EndAuthentication(SmtpReply reply)
    {
        _attemptedUser = _sasl?.UserName;
        _sasl = null;
        _mode = Mode.Command;
        return Reply(reply);
    }
}
