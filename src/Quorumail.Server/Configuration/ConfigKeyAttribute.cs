namespace Quorumail.Server.Configuration;

/// <summary>
/// How an option appears outside: without this attribute its key is the property's name in snake_case and its
/// environment twin <c>SMTP_TABLE_KEY</c>.
/// </summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class ConfigKeyAttribute : Attribute
{
    /// <summary>The key in the file, where it is not the property's name in snake_case.</summary>
    public string? Name { get; init; }

    /// <summary>The environment variable, where it is not <c>SMTP_TABLE_KEY</c>.</summary>
    public string? Environment { get; init; }

    /// <summary>The value counts octets and may be written as "50MB" (1 KB = 1024 octets).</summary>
    public bool IsByteSize { get; init; }

    /// <summary>The value is never shown.</summary>
    public bool IsSecret { get; init; }

    /// <summary>The value must not be empty.</summary>
    public bool IsRequired { get; init; }

    /// <summary>Smallest value allowed: a number, a count of octets, or seconds of a duration.</summary>
    public double Minimum { get; init; } = double.NegativeInfinity;

    /// <summary>Largest value allowed, in the unit of <see cref="Minimum"/>.</summary>
    public double Maximum { get; init; } = double.PositiveInfinity;
}
