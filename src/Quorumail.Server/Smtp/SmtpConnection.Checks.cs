using Quorumail.Core.Limits;
using Quorumail.Core.Mail;
using Quorumail.Core.Smtp;
using Quorumail.Server.Http;
using Quorumail.Server.Limits;

namespace Quorumail.Server.Smtp;

/// <content>Whose mail is taken, for whom, and how much of it.</content>
internal sealed partial class SmtpConnection
{
    // Null as long as there were no limits when a transaction began.
    private ConnectionLimits? _limits;

    /// <summary>Judges the sender; false if the log must be asked first, about a limit.</summary>
    private bool TryCheckSender()
    {
        _refusal = CheckSender();
        if (_refusal is not null || !_services.Limits.AreAny)
        {
            return true;
        }

        _limits ??= new ConnectionLimits(_services.Limits);
        _limits.Begin(_isExempt ? null : _client, Session.User, Session.ReversePath);
        return IsDecided(_limits.Try(out _));
    }

    /// <summary>Judges a recipient; false if the log must be asked first, about a limit.</summary>
    private bool TryResolve()
    {
        _refusal = null;
        _resolution = Resolve(Session.ForwardPath);
        if (_resolution.Refusal is not null || _limits is null)
        {
            return true;
        }

        _limits.Add(Session.ForwardPath);
        return IsDecided(_limits.Try(out _));
    }

    private SmtpStep SenderChecked()
    {
        if (_refusal is null)
        {
            _clock.StartTransaction();
        }
        else
        {
            _limits?.End();
        }

        return Session.SenderChecked(_refusal);
    }

    private SmtpStep RecipientResolved() =>
        Session.RecipientResolved(_refusal is null ? _resolution : RecipientResolution.Refuse(_refusal));

    private async ValueTask<ConnectionAnswer> TakeLimitsAsync()
    {
        IsDecided(await _limits!.TakeAsync(StartCommitTimer()));
        _clock.Stop();
        return ConnectionAnswer.Limited;
    }

    private bool IsDecided(LimitVerdict? verdict)
    {
        switch (verdict)
        {
            case LimitVerdict.Passed:
                return true;
            case LimitVerdict.Refused:
                Metrics.RateLimitHits.Inc();
                _refusal = Session.Subject == ReplySubject.Recipient ? SmtpReplies.TooManyForDomain : SmtpReplies.TooManyMessages;
                return true;
            case null:
                _refusal = SmtpReplies.LimitsUnknown;
                return true;
            default:
                return false;
        }
    }

    private SmtpReply? CheckSender()
    {
        var session = Session;
        var refusal = _services.Connections.IsDraining ? SmtpReplies.ShuttingDown : _services.Intake.Refusal;
        if (refusal is null && session.User is { } user && !_services.Directory.MaySendFrom(user, session.ReversePath))
        {
            refusal = SmtpReplies.NotSendersAddress;
        }

        return refusal;
    }

    private RecipientResolution Resolve(MailPath path)
    {
        var mayRelay = _isTrusted || Session.User is not null;
        switch (_services.Directory.Resolve(path, mayRelay, out var address, out var addresses))
        {
            case AddressVerdict.Local or AddressVerdict.Relay:
                return addresses is null ? RecipientResolution.Accept(address) : RecipientResolution.Accept(addresses);
            case AddressVerdict.UnknownUser:
                return RecipientResolution.Refuse(SmtpReplies.UnknownUser);
            default:
                return RecipientResolution.Refuse(SmtpReplies.RelayDenied);
        }
    }
}
