using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Queue.Format;

/// <summary>What operators do, in protobuf; of version 2 of the format.</summary>
internal static class AdminEncoding
{
    /// <summary>Null if it is no operator's command.</summary>
    public static LoggedCommand? ToLogged(QueueCommand command) => command switch
    {
        AdministerCommand administer => new LoggedCommand
        {
            Administer = new LoggedAdminister
            {
                Action = (uint)administer.Action,
                Selection = ToLogged(administer.Selection),
                Limit = administer.Limit,
                Reason = administer.Reason,
                IncludesDue = administer.IncludesDue,
            },
        },
        SuspendCommand suspend => new LoggedCommand
        {
            Suspend = new LoggedSuspend
            {
                Scope = (uint)suspend.Scope,
                Name = suspend.Name,
                Reason = suspend.Reason,
                ExpiresAt = suspend.ExpiresAt,
            },
        },
        ResumeCommand resume => new LoggedCommand
        {
            Resume = new LoggedResume { Scope = (uint)resume.Scope, Name = resume.Name },
        },
        _ => null,
    };

    /// <summary>Null if it is no command that this version knows.</summary>
    public static QueueCommand? ToCommand(LoggedCommand logged) => logged.KindCase switch
    {
        LoggedCommand.KindOneofCase.Administer => ToSelection(logged.Administer.Selection ?? new LoggedSelection()) is { } selection
            ? new AdministerCommand(
                (QueueAction)logged.Administer.Action, selection, logged.Administer.Limit, logged.Administer.Reason)
            {
                IncludesDue = logged.Administer.IncludesDue,
            }
            : null,
        LoggedCommand.KindOneofCase.Suspend => new SuspendCommand(
            (SuspensionScope)logged.Suspend.Scope, logged.Suspend.Name, logged.Suspend.Reason, logged.Suspend.ExpiresAt),
        LoggedCommand.KindOneofCase.Resume =>
            new ResumeCommand((SuspensionScope)logged.Resume.Scope, logged.Resume.Name),
        _ => null,
    };

    public static StoredSuspension ToStored(Suspension suspension) => new()
    {
        Scope = (uint)suspension.Scope,
        Name = suspension.Name,
        Reason = suspension.Reason,
        Since = suspension.Since,
        ExpiresAt = suspension.ExpiresAt,
    };

    public static Suspension ToSuspension(StoredSuspension stored) =>
        new((SuspensionScope)stored.Scope, stored.Name, stored.Reason, stored.Since, stored.ExpiresAt);

    public static StoredRemoval ToStored(Removal removal) => new()
    {
        Sequence = removal.Sequence,
        IdTime = (ulong)removal.Id.Milliseconds,
        IdRandom = removal.Id.RandomPart,
        ReversePath = removal.ReversePath,
        Recipients = removal.Recipients,
        InDoubt = removal.InDoubt,
        RemovedAt = removal.RemovedAt,
        Reason = removal.Reason,
    };

    public static Removal ToRemoval(StoredRemoval stored) => new(
        stored.Sequence, QueueEncoding.Id(stored.IdTime, stored.IdRandom), stored.ReversePath, stored.Recipients,
        stored.InDoubt, stored.RemovedAt, stored.Reason);

    private static LoggedSelection ToLogged(QueueSelection selection)
    {
        var logged = new LoggedSelection { HasIds = selection.Ids is not null, MinAge = selection.MinAge };
        foreach (var id in selection.Ids ?? [])
        {
            logged.IdTimes.Add((ulong)id.Milliseconds);
            logged.IdRandoms.Add(id.RandomPart);
        }

        if (selection.Sender is { } sender)
        {
            logged.Sender = sender;
        }

        if (selection.Recipient is { } recipient)
        {
            logged.Recipient = recipient;
        }

        if (selection.Domain is { } domain)
        {
            logged.Domain = domain;
        }

        if (selection.State is { } state)
        {
            logged.State = (uint)state;
        }

        return logged;
    }

    private static QueueSelection? ToSelection(LoggedSelection logged)
    {
        if (logged.IdTimes.Count != logged.IdRandoms.Count)
        {
            return null;
        }

        QueueId[]? ids = null;
        if (logged.HasIds)
        {
            ids = new QueueId[logged.IdTimes.Count];
            for (var i = 0; i < ids.Length; i++)
            {
                ids[i] = QueueEncoding.Id(logged.IdTimes[i], logged.IdRandoms[i]);
            }
        }

        return new QueueSelection
        {
            Ids = ids,
            Sender = logged.HasSender ? logged.Sender : null,
            Recipient = logged.HasRecipient ? logged.Recipient : null,
            Domain = logged.HasDomain ? logged.Domain : null,
            State = logged.HasState ? (MessageState)logged.State : null,
            MinAge = logged.MinAge,
        };
    }
}
