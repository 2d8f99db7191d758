namespace Quorumail.Core.Smtp;

/// <summary>What the directory says about a forward-path.</summary>
public readonly struct RecipientResolution
{
    private RecipientResolution(SmtpReply? refusal, string? address, IReadOnlyList<string>? addresses)
    {
        Refusal = refusal;
        Address = address;
        Addresses = addresses;
    }

    /// <summary>Why it is refused, or null.</summary>
    public SmtpReply? Refusal { get; }

    /// <summary>The one address that the message goes to, or null if there are several.</summary>
    public string? Address { get; }

    /// <summary>The addresses that an alias stands for, or null.</summary>
    public IReadOnlyList<string>? Addresses { get; }

    /// <summary>The message is taken for this address.</summary>
    public static RecipientResolution Accept(string address) => new(null, address, null);

    /// <summary>The message is taken for each of these addresses; at least one.</summary>
    public static RecipientResolution Accept(IReadOnlyList<string> addresses) => new(null, null, addresses);

    /// <summary>The forward-path is refused.</summary>
    public static RecipientResolution Refuse(SmtpReply reply) => new(reply, null, null);
}
