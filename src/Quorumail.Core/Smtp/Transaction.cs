using Quorumail.Core.Mail;

namespace Quorumail.Core.Smtp;

/// <summary>What a mail transaction (RFC 5321 3.3) has gathered since MAIL.</summary>
internal sealed class Transaction
{
    private const int LinearSearchMax = 16;

    private SmtpParameters _recipientParameters;
    private HashSet<string>? _known;
    private int _octets;

    public Transaction(MailPath reversePath, SmtpParameters parameters)
    {
        ReversePath = reversePath;
        Parameters = parameters;
        _octets = reversePath.Address.Length + (parameters.EnvelopeId?.Length ?? 0);
    }

    /// <summary>Of MAIL.</summary>
    public MailPath ReversePath { get; }

    /// <summary>Of MAIL.</summary>
    public SmtpParameters Parameters { get; }

    /// <summary>Of the RCPT that is being considered.</summary>
    public MailPath ForwardPath { get; private set; }

    /// <summary>The forward-path of the first RCPT that was accepted.</summary>
    public string? FirstPath { get; private set; }

    /// <summary>RCPT commands so far.</summary>
    public int TriedPaths { get; set; }

    /// <summary>RCPT commands that were accepted.</summary>
    public int AcceptedPaths { get; private set; }

    /// <summary>Whom the message goes to, each once.</summary>
    public List<EnvelopeRecipient> Recipients { get; } = new(1);

    /// <summary>The message comes by BDAT, and its first chunk has begun.</summary>
    public bool IsChunked { get; set; }

    /// <summary>Whether the message has begun: <see cref="Id"/> and <see cref="Time"/> are set.</summary>
    public bool IsStarted { get; private set; }

    /// <summary>The message's name, once it has begun.</summary>
    public QueueId Id { get; private set; }

    /// <summary>When it began.</summary>
    public DateTimeOffset Time { get; private set; }

    public void Start(QueueId id, DateTimeOffset time)
    {
        Id = id;
        Time = time;
        IsStarted = true;
    }

    public void Consider(MailPath path, SmtpParameters parameters)
    {
        ForwardPath = path;
        _recipientParameters = parameters;
    }

    /// <summary>Adds what the considered forward-path stands for; false, with nothing added, if the envelope would be too large.</summary>
    public bool TryAdd(RecipientResolution resolution, int octetsMax)
    {
        var overhead = (_recipientParameters.OriginalRecipient?.Length ?? 0) + 16;
        var octets = 0;
        if (resolution.Address is { } one)
        {
            octets = one.Length + overhead;
        }

        foreach (var address in resolution.Addresses ?? [])
        {
            octets += address.Length + overhead;
        }

        if (_octets + octets > octetsMax)
        {
            return false;
        }

        _octets += octets;
        AcceptedPaths++;
        FirstPath ??= ForwardPath.Address;
        if (resolution.Address is { } single)
        {
            AddOnce(single);
        }

        foreach (var address in resolution.Addresses ?? [])
        {
            AddOnce(address);
        }

        return true;
    }

    private void AddOnce(string address)
    {
        if (Contains(address))
        {
            return;
        }

        _known?.Add(address);
        Recipients.Add(new EnvelopeRecipient(address, _recipientParameters.Notify, _recipientParameters.OriginalRecipient));
    }

    private bool Contains(string address)
    {
        if (Recipients.Count > LinearSearchMax)
        {
            _known ??= new HashSet<string>(Recipients.Select(recipient => recipient.Address), StringComparer.Ordinal);
            return _known.Contains(address);
        }

        foreach (var recipient in Recipients)
        {
            if (string.Equals(recipient.Address, address, StringComparison.Ordinal))
            {
                return true;
            }
        }

        return false;
    }
}
